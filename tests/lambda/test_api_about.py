"""GET /health and GET /openapi.json: over moto's SageMaker, and one that refuses, dawdles or changes."""

import json
import time
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

answers: Any = import_module("tests.lambda.answers")
fakes: Any = import_module("tests.lambda.fakes")

REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
ROLE = "arn:aws:iam::123456789012:role/serving"
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally-dev/"
NO_ENDPOINT = 'Could not find endpoint "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/tally-dev".'


@pytest.fixture
def about(load: Any, aws: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("ENDPOINT_NAME", "tally-dev")
    (module,) = load("api", "about")
    return module


@pytest.fixture
def health(about: ModuleType, captured: Any) -> Any:
    return lambda: answers.check(about.handler(captured("api_health")), "/health", "get")


def serve(name: str, **container: Any) -> None:
    """An endpoint `tally-dev` with the model `name`, as the serving stack makes one."""
    client = boto3.client("sagemaker")
    container = container or {"PrimaryContainer": {"ModelPackageName": f"{ARN}7"}}
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, **container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.c5.large"}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName="tally-dev", EndpointConfigName=name)


class SageMaker:
    """Says what it was given, by operation; an error is raised. `asked` counts."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = {
            "describe_endpoint": {"EndpointStatus": "InService", "EndpointConfigName": "config-1"},
            "describe_endpoint_config": {"ProductionVariants": [{"ModelName": "model-1"}]},
            "describe_model": {"ModelName": "model-1", "PrimaryContainer": {"ModelPackageName": f"{ARN}7"}},
            **answers,
        }

    def __getattr__(self, operation: str) -> Any:
        def ask(**_: str) -> Any:
            self.asked.append(operation)
            answer = self._answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        return ask


def over(about: ModuleType, monkeypatch: pytest.MonkeyPatch, **said: Any) -> SageMaker:
    sagemaker = SageMaker(**said)
    monkeypatch.setattr(about, "client", lambda _: sagemaker)
    return sagemaker


@pytest.mark.parametrize("member", ["PrimaryContainer", "Containers"])
def test_a_model_in_service_is_named_by_its_package(health: Any, member: str) -> None:
    container: Any = {"ModelPackageName": f"{ARN}7"}
    serve("model-1", **{member: container if member == "PrimaryContainer" else [container]})
    status, body, headers = health()
    model = {"package": "tally-dev", "version": 7}
    assert (status, body) == (
        200,
        {"status": "ok", "endpoint": "InService", "model": model, "request_id": REQUEST_ID},
    )
    assert headers["Cache-Control"] == "no-store"


def test_a_model_from_no_package_has_none(health: Any) -> None:
    serve("model-1", PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://artifacts/model.tar.gz"})
    assert health()[1]["model"] == {"package": None, "version": None}


def test_without_an_endpoint_there_is_no_model(health: Any) -> None:
    status, problem, headers = health()
    assert (status, problem["code"], headers["Retry-After"]) == (503, "no_model", "60")
    assert problem["detail"] == "no model is in service yet"


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        ("InService", 200, None),
        ("Updating", 200, None),
        ("SystemUpdating", 200, None),
        ("RollingBack", 200, None),
        ("Creating", 503, "the first model is being put into service"),
        ("Failed", 503, "no model is in service: the endpoint failed or is being removed; tell the operators"),
        ("OutOfService", 503, "no model is in service: the endpoint failed or is being removed; tell the operators"),
        ("Deleting", 503, "no model is in service: the endpoint failed or is being removed; tell the operators"),
    ],
)
def test_an_endpoint_serves_or_does_not(
    about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch, status: str, code: int, detail: str | None
) -> None:
    endpoint = {"EndpointStatus": status, "EndpointConfigName": "config-1", "FailureReason": "account 1"}
    over(about, monkeypatch, describe_endpoint=endpoint)
    found, body, _ = health()
    assert (found, body.get("detail")) == (code, detail)
    if code == 200:
        assert body["endpoint"] == status
    assert "account" not in json.dumps(body)


@pytest.mark.parametrize("operation", ["describe_endpoint", "describe_endpoint_config", "describe_model"])
@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (fakes.refusal("X", "ValidationException", NO_ENDPOINT), 503, "no_model", "60"),
        (fakes.refusal("X", "ThrottlingException", "Rate exceeded"), 503, "busy", "5"),
        (fakes.refusal("X", "AccessDeniedException", "role 123456789012 may not", 403), 500, "internal_error", None),
        (RuntimeError("123456789012"), 500, "internal_error", None),
    ],
    ids=["none", "throttled", "denied", "bug"],
)
def test_what_sagemaker_refuses_is_a_problem_without_its_words(
    about: ModuleType,
    health: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    operation: str,
    error: Exception,
    status: int,
    code: str,
    retry_after: str | None,
) -> None:
    over(about, monkeypatch, **{operation: error})
    found, problem, headers = health()
    assert (found, problem["code"], headers.get("Retry-After")) == (status, code, retry_after)
    assert "123456789012" not in json.dumps(problem) + capsys.readouterr().out


def test_a_sagemaker_that_does_not_answer_is_a_timeout(
    about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(about, "SECONDS", 0.2)
    over(about, monkeypatch, describe_endpoint=lambda: time.sleep(6))
    began = time.monotonic()
    status, problem, _ = health()
    assert (status, problem["code"]) == (504, "timeout")
    assert time.monotonic() - began < 5


def test_a_sagemaker_that_cannot_be_reached_is_a_timeout(
    about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    status, problem, _ = health()
    assert (status, problem["code"]) == (504, "timeout")
    assert "127.0.0.1" not in json.dumps(problem)


def test_who_asks_often_does_not_ask_sagemaker_often(
    about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker = over(about, monkeypatch)
    assert [health()[0] for _ in range(20)] == [200] * 20
    assert sagemaker.asked == ["describe_endpoint", "describe_endpoint_config", "describe_model"]


def test_a_new_model_is_named_soon(about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "KEEP_SECONDS", 0.0)
    configs = iter(["config-1", "config-2"])
    packages = iter([f"{ARN}7", f"{ARN}8"])
    over(
        about,
        monkeypatch,
        describe_endpoint=lambda: {"EndpointStatus": "InService", "EndpointConfigName": next(configs)},
        describe_model=lambda: {"PrimaryContainer": {"ModelPackageName": next(packages)}},
    )
    assert [health()[1]["model"]["version"] for _ in range(2)] == [7, 8]


def test_the_document_is_served_as_it_is(about: ModuleType, captured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = over(about, monkeypatch)
    status, body, headers = answers.check(about.handler(captured("api_openapi")), "/openapi.json", "get")
    assert (status, body) == (200, answers.DOCUMENT)
    assert headers == {"Content-Type": "application/json", "Cache-Control": "private, max-age=300"}
    assert sagemaker.asked == []


@pytest.mark.parametrize(
    "changes",
    [{"resource": "/predictions"}, {"resource": "/"}, {"resource": None}, {"httpMethod": "POST"}, {"httpMethod": None}],
)
def test_nothing_else_is_here(about: ModuleType, captured: Any, changes: dict[str, Any]) -> None:
    response = about.handler({**captured("api_health"), **changes})
    body = json.loads(response["body"])
    assert (response["statusCode"], body["code"]) == (404, "not_found")
    assert body["detail"] == "here are GET /health and GET /openapi.json"


@pytest.mark.parametrize("event", [None, [], "x", 3, {}, {"resource": ["/health"]}, {"resource": {}}])
def test_what_is_no_event_is_not_found(about: ModuleType, event: Any) -> None:
    assert about.handler(event)["statusCode"] == 404


def test_a_missing_setting_is_named_in_the_log_only(
    about: ModuleType, health: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ENDPOINT_NAME")
    status, problem, _ = health()
    assert (status, problem["code"]) == (500, "internal_error")
    assert "ENDPOINT_NAME" not in json.dumps(problem)
    assert "the environment variable ENDPOINT_NAME is not set" in capsys.readouterr().out


def test_each_request_leaves_one_line_with_nothing_of_the_caller(
    about: ModuleType, captured: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over(about, monkeypatch)
    event = captured("api_health")
    planted = {"headers": {"x-api-key": "s3cr3t"}, "queryStringParameters": {"s3cr3t": "s3cr3t"}, "path": "/s3cr3t"}
    about.handler({**event, **planted})
    about.handler({**event, **planted, "resource": "/s3cr3t"})
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line.pop("ms") >= 0 for line in lines] == [True, True]
    told = {"event": "about", "request_id": REQUEST_ID}
    assert lines[0] == {**told, "path": "/health", "status": 200}
    assert lines[1] == {**told, "code": "not_found", "cause": "", "status": 404}
    assert "s3cr3t" not in out


def test_lambdas_id_names_the_request_where_the_gateway_gave_none(about: ModuleType) -> None:
    context = SimpleNamespace(aws_request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd")
    assert json.loads(about.handler({}, context)["body"])["request_id"] == context.aws_request_id
