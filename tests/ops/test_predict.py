"""Asking the API: its address and key from the stacks, its answers and problems over HTTP."""

import io
import json
import shlex
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Api as ApiSettings
from infra.settings import Settings
from ops import predict, verbs
from ops.account import Account
from ops.errors import OpsError
from ops.parser import parser
from ops.predict import Api, PredictionError
from tests.clients.server import ANSWER, EXPECTED, HEALTH, Server, answer, problem
from tests.ops.conftest import template

PHOTO = b"\xff\xd8\xff photo"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.setattr(predict, "api", lambda _account: Api(found.url, "secret-key"))
    yield found
    found.close()


def test_a_photo_is_sent_with_the_key(account: Account, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # must not stand between us and this machine
    assert predict.predict(account, s3_uri="s3://raw/photos/bin-images/1.jpg") == ANSWER
    (sent,) = server.requests
    assert (sent.path, sent.json) == ("/v1/predictions", {"s3_uri": "s3://raw/photos/bin-images/1.jpg"})
    assert sent.headers["x-api-key"] == "secret-key"


def test_an_address_is_sent_as_one(account: Account, server: Server) -> None:
    predict.predict(account, image_url="https://example.com/1.jpg")
    assert server.requests[0].json == {"image_url": "https://example.com/1.jpg"}


def test_a_file_is_sent_itself_and_what_was_expected_is_decided(
    account: Account, server: Server, tmp_path: Path
) -> None:
    server.scripts = [answer(ANSWER | EXPECTED)]
    file = tmp_path / "bin.jpg"
    file.write_bytes(PHOTO)
    assert predict.predict(account, photo=file, expected_count=3) == ANSWER | EXPECTED
    (sent,) = server.requests
    assert (sent.path, sent.body, sent.headers["content-type"]) == (
        "/v1/predictions?expected_count=3", PHOTO, "image/jpeg",
    )  # fmt: skip


def test_with_iam_the_request_is_signed_instead(
    account: Account, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "api", lambda _account: Api(server.url, None))
    predict.predict(account, s3_uri="s3://raw/1.jpg")
    (sent,) = server.requests
    assert "/eu-west-1/execute-api/aws4_request" in sent.headers["authorization"]
    assert "x-api-key" not in sent.headers


def test_a_problem_is_told_with_its_detail(account: Account, server: Server) -> None:
    server.scripts = [problem(403, "location_not_allowed")]
    with pytest.raises(PredictionError) as caught:
        predict.predict(account, s3_uri="s3://other/1.jpg")
    assert str(caught.value) == "403 location_not_allowed: the detail of location_not_allowed (request r-2)"
    assert (caught.value.status, caught.value.problem["code"]) == (403, "location_not_allowed")


def test_what_is_no_answer_of_the_api_is_told_too(account: Account, server: Server) -> None:
    server.scripts = [answer({"message": "Missing Authentication Token"}, 403)]
    with pytest.raises(PredictionError, match="answered 403, without a problem of the Tally API") as caught:
        predict.predict(account, s3_uri="s3://other/1.jpg")
    assert (caught.value.status, caught.value.problem) == (403, {})


def test_an_api_that_does_not_answer_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "api", lambda _account: Api("http://127.0.0.1:9/v1/", None))
    with pytest.raises(
        PredictionError, match=r"no answer from POST http://127\.0\.0\.1:9/v1/predictions: .*refused"
    ) as caught:
        predict.predict(account, s3_uri="s3://raw/1.jpg")
    assert (caught.value.status, caught.value.problem) == (0, {})


@pytest.mark.parametrize(
    "given",
    [{}, {"s3_uri": "s3://a/b", "image_url": "https://a/b"}, {"s3_uri": "s3://a/b", "photo": PHOTO}],
    ids=["none", "two places", "place and photo"],
)
def test_exactly_one_photo_is_asked_for(account: Account, server: Server, given: dict[str, Any]) -> None:
    with pytest.raises(OpsError, match="give one of image_url, s3_uri and photo, and only one"):
        predict.predict(account, **given)
    assert server.requests == []


def test_health_is_asked_with_the_same_key(account: Account, server: Server) -> None:
    server.scripts = [answer(HEALTH)]
    assert predict.health(account).version == 7
    assert (server.requests[0].path, server.requests[0].headers["x-api-key"]) == ("/v1/health", "secret-key")


def ask(monkeypatch: pytest.MonkeyPatch, account: Account, *words: str) -> str:
    """What `python -m ops predict` prints."""
    monkeypatch.setattr(verbs, "_account", lambda _options: account)
    options: Namespace = parser().parse_args(["predict", "--env", "dev", *words])
    stream = io.StringIO()
    assert verbs.VERBS["predict"](options, stream) == 0
    return stream.getvalue()


@pytest.mark.parametrize(
    ("words", "body", "query"),
    [
        (["--s3-uri", "s3://b/it's"], ["-d", '{"s3_uri": "s3://b/it\'s"}'], ""),
        (
            ["--s3-uri", "s3://b/k", "--version-id", "v", "--expected-count", "2"],
            ["-d", '{"s3_uri": "s3://b/k", "version_id": "v", "expected_count": 2}'],
            "",
        ),
        (["--photo", "FILE"], ["--data-binary", "@FILE"], ""),
        (["--photo", "FILE", "--expected-count", "3"], ["--data-binary", "@FILE"], "?expected_count=3"),
    ],
    ids=["s3", "s3, everything", "file", "file with a count"],
)
def test_the_command_prints_the_answer_and_if_asked_itself_as_curl(
    account: Account,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    body: list[str],
    query: str,
) -> None:
    file = tmp_path / "a bin.jpg"
    file.write_bytes(PHOTO)
    words, body = ([word.replace("FILE", str(file)) for word in some] for some in (words, body))
    command, printed = ask(monkeypatch, account, *words, "--show-key").splitlines()
    assert json.loads(printed) == ANSWER
    kind = "application/json" if "-d" in body else "image/jpeg"
    assert shlex.split(command) == [
        "curl", f"{server.url}predictions{query}", "-H", "x-api-key: secret-key", "-H", f"content-type: {kind}", *body
    ]  # fmt: skip
    assert json.loads(ask(monkeypatch, account, *words)) == ANSWER


def test_a_signed_request_as_curl_says_what_to_sign_for(
    account: Account, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "api", lambda _account: Api(server.url, None))
    command, _ = ask(monkeypatch, account, "--s3-uri", "s3://b/k", "--show-key").splitlines()
    assert "--aws-sigv4 aws:amz:eu-west-1:execute-api --user KEY:SECRET" in command


def test_a_file_that_is_no_photo_is_named(account: Account, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match=r"no/such\.jpg cannot be read: No such file or directory"):
        ask(monkeypatch, account, "--photo", "no/such.jpg", "--show-key")
    assert server.requests == []


@pytest.fixture
def key(account: Account) -> str:
    """Deploys an API stack with a key; the key's value."""
    made = account.client("apigateway").create_api_key(name="tally-dev", enabled=True)
    topic = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "api"}}}
    url = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/"
    account.client("cloudformation").create_stack(
        StackName="tally-dev-api", TemplateBody=template(topic, Url=url, ApiKeyId=made["id"])
    )
    return str(made["value"])


def test_the_emulators_api_is_on_the_emulators_port(account: Account, key: str, moto: str) -> None:
    assert predict.api(account) == Api(f"{moto}/restapis/abc123/v1/_user_request_/", key)


def test_on_aws_the_address_is_the_stacks(account: Account, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account.client("cloudformation"), account.client("apigateway")
    monkeypatch.setattr(Account, "endpoint_url", None)
    found = predict.api(account)
    assert found.predictions == "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/predictions"


@pytest.mark.usefixtures("key")
def test_an_api_for_iam_has_no_key(environ: dict[str, str]) -> None:
    account = Account(Settings(environment="dev", api=ApiSettings(auth="iam")), environ)
    assert predict.api(account).key is None
