"""The trigger Lambda: real objects in S3 (moto, over a socket), a real pipeline that is started."""

import hashlib
import json
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

BUCKET = "tally-dev-raw-123456789012-eu-west-1"
DEFINITION = {"Version": "2020-12-01", "Parameters": [], "Steps": []}


@pytest.fixture
def trigger(load: Any, aws: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("PIPELINE_NAME", "tally-dev")
    monkeypatch.setenv("RAW_BUCKET", BUCKET)
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    boto3.client("sagemaker").create_pipeline(
        PipelineName="tally-dev",
        PipelineDefinition=json.dumps(DEFINITION),
        RoleArn="arn:aws:iam::123456789012:role/pipeline",
        ClientRequestToken="x" * 32,
    )
    (module,) = load("trigger", "handler")
    return module


def upload(*keys: str, content: bytes = b"photo") -> None:
    s3 = boto3.client("s3")
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def runs() -> list[dict[str, Any]]:
    return list(
        boto3.client("sagemaker").list_pipeline_executions(PipelineName="tally-dev")["PipelineExecutionSummaries"]
    )


@pytest.fixture
def requests(trigger: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What StartPipelineExecution is asked for; moto answers it."""
    client = boto3.client("sagemaker")
    seen: list[dict[str, Any]] = []
    client.meta.events.register(
        "before-parameter-build.sagemaker.StartPipelineExecution", lambda params, **_: seen.append(dict(params))
    )
    real = trigger._client
    monkeypatch.setattr(trigger, "_client", lambda service: client if service == "sagemaker" else real(service))
    return seen


def parameters(request: dict[str, Any]) -> dict[str, str]:
    return {item["Name"]: item["Value"] for item in request["PipelineParameters"]}


def test_an_upload_that_is_complete_starts_a_run_on_its_prefix(
    trigger: ModuleType, requests: list[dict[str, Any]], captured: Any
) -> None:
    upload("photos/bin-images/1.jpg", "photos/metadata/1.json", "photos/_SUCCESS", "photos-old/bin-images/2.jpg")
    answer = trigger.handler(captured("object_created"))
    (request,) = requests
    assert parameters(request) == {"InputPrefix": "photos", "InputRevision": answer["revision"]}
    assert answer["prefix"] == "photos"
    assert [run["PipelineExecutionArn"] for run in runs()] == [answer["pipelineExecutionArn"]]


def test_the_revision_is_a_hash_over_keys_and_etags(trigger: ModuleType) -> None:
    upload("photos/b.jpg", "photos/a.jpg", "photos/_SUCCESS")
    etag = hashlib.md5(b"photo").hexdigest()  # noqa: S324  # what S3 calls an ETag
    lines = f"photos/a.jpg\t{etag}\nphotos/b.jpg\t{etag}\n"
    assert trigger.handler({"prefix": "photos"})["revision"] == hashlib.sha256(lines.encode()).hexdigest()[:32]


def test_the_revision_changes_with_the_photos_and_not_with_the_marker(
    trigger: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # on a page
    upload(*(f"photos/{number}.jpg" for number in range(25)), content=b"")
    first = trigger.handler({"prefix": "photos"})["revision"]
    upload("photos/_SUCCESS", content=b"again")
    assert trigger.handler({"prefix": "photos"})["revision"] == first
    upload("photos/9.jpg")  # the last of the last page: keys are sorted as text
    assert trigger.handler({"prefix": "photos"})["revision"] != first


def test_an_event_delivered_twice_orders_one_run(
    trigger: ModuleType, requests: list[dict[str, Any]], captured: Any
) -> None:
    upload("photos/1.jpg")
    event = captured("object_created")
    trigger.handler(event)
    trigger.handler({**event, "id": "another-id-of-the-same-upload"})
    event["detail"]["object"]["sequencer"] = "00617F08299329D18A"  # uploaded again
    trigger.handler(event)
    first, second, third = (request["ClientRequestToken"] for request in requests)
    assert first == second != third
    assert 32 <= len(first) <= 128


def test_an_invocation_that_lambda_repeats_orders_one_run(trigger: ModuleType, requests: list[dict[str, Any]]) -> None:
    upload("photos/1.jpg")
    context = SimpleNamespace(aws_request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef")
    trigger.handler({"prefix": "photos"}, context)
    trigger.handler({"prefix": "photos"}, context)
    trigger.handler({"prefix": "photos"}, SimpleNamespace(aws_request_id="another"))
    first, second, third = (request["ClientRequestToken"] for request in requests)
    assert first == second != third


def test_a_person_may_set_parameters_and_a_name(trigger: ModuleType, requests: list[dict[str, Any]]) -> None:
    upload("deliveries/2026-11/1.jpg")
    trigger.handler({"prefix": "deliveries/2026-11", "parameters": {"Epochs": 10, "Backbone": "r"}, "name": "more"})
    (request,) = requests
    assert parameters(request).items() >= {"Epochs": "10", "Backbone": "r", "InputPrefix": "deliveries/2026-11"}.items()
    assert request["PipelineExecutionDisplayName"] == "more"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "the prefix is None; it must be like photos or deliveries/2026-11"),
        ({"prefix": "photos/"}, "the prefix is 'photos/'"),
        ({"prefix": "/photos"}, "no slash at either end"),
        ({"prefix": "a b"}, "the prefix is 'a b'"),
        ({"prefix": "photos", "paramters": {}}, r"unknown keys \['paramters'\]; there are prefix, parameters and name"),
        ({"prefix": "photos", "parameters": [1]}, r"'parameters' is \[1\]"),
        ({"prefix": "photos", "parameters": {"Epochs": None}}, "the parameter Epochs is None; it must be a text or a"),
        ({"prefix": "photos", "parameters": {"InputRevision": "x"}}, "InputRevision cannot be given; it follows from"),
        ({"prefix": "photos", "name": "with space"}, "'name' is 'with space'; it must be up to 82 letters"),
        ([], r"the event is \[\]; it must be an object"),
        ({"detail": {}}, "has a 'detail' but is no 'Object Created' of S3: 'bucket' is missing"),
        ({"prefix": "empty"}, f"s3://{BUCKET}/empty/ holds no photos; upload them there, _SUCCESS last"),
    ],
)
def test_a_wrong_event_is_named_and_starts_nothing(trigger: ModuleType, event: Any, message: str) -> None:
    with pytest.raises(trigger.TriggerError, match=message):
        trigger.handler(event)
    assert runs() == []


@pytest.mark.parametrize(
    ("bucket", "key"),
    [("other", "photos/_SUCCESS"), (BUCKET, "photos/1.jpg"), (BUCKET, "photos/_SUCCESS.txt")],
    ids=["another bucket", "a photo", "another name"],
)
def test_another_object_starts_nothing(trigger: ModuleType, captured: Any, bucket: str, key: str) -> None:
    upload("photos/1.jpg")
    event = captured("object_created")
    event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = bucket, key
    with pytest.raises(trigger.TriggerError, match=f"s3://{bucket}/{key} starts no run"):
        trigger.handler(event)
    assert runs() == []


def test_a_marker_without_a_prefix_is_refused(trigger: ModuleType, captured: Any) -> None:
    event = captured("object_created")
    event["detail"]["object"]["key"] = "_SUCCESS"
    with pytest.raises(trigger.TriggerError, match="the prefix is ''"):
        trigger.handler(event)


def test_only_the_marker_is_not_enough(trigger: ModuleType, captured: Any) -> None:
    upload("photos/_SUCCESS")
    with pytest.raises(trigger.TriggerError, match="holds no photos"):
        trigger.handler(captured("object_created"))


def test_a_missing_variable_is_named(trigger: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAW_BUCKET")
    with pytest.raises(trigger.TriggerError, match="RAW_BUCKET is not set; deploy the training stack again"):
        trigger.handler({"prefix": "photos"})
