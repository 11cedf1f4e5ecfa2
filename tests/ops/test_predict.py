"""Asking the API: its address and key from the stacks, its answers and problems over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.settings import Api as ApiSettings
from infra.settings import Settings
from ops import predict
from ops.account import Account
from ops.errors import OpsError
from ops.predict import Api, PredictionError
from tests.ops.conftest import template

ANSWER = {"count": 3, "confidence": 0.8, "probabilities": [], "model": "tally-dev/7", "request_id": "r-1"}


class Server(ThreadingHTTPServer):
    """An API that answers with what a test sets, and remembers what it was sent."""

    status: int = 200
    body: bytes = json.dumps(ANSWER).encode()
    path: str = ""
    sent: Any = None
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:  # the base class's name
        self.server.path = self.path
        self.server.headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Nothing: the test says what it wants to see."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{found.server_port}/v1/"
        monkeypatch.setattr(predict, "api", lambda _account: Api(url, "secret-key"))
        yield found
        found.shutdown()
        thread.join()


def test_a_photo_is_sent_with_the_key(account: Account, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # must not stand between us and this machine
    assert predict.predict(account, s3_uri="s3://raw/photos/bin-images/1.jpg") == ANSWER
    assert (server.path, server.sent) == ("/v1/predictions", {"s3_uri": "s3://raw/photos/bin-images/1.jpg"})
    assert server.headers["x-api-key"] == "secret-key"


def test_an_address_is_sent_as_one(account: Account, server: Server) -> None:
    predict.predict(account, image_url="https://example.com/1.jpg")
    assert server.sent == {"image_url": "https://example.com/1.jpg"}


def test_with_iam_the_request_is_signed_instead(
    account: Account, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "api", lambda _account: Api(f"http://127.0.0.1:{server.server_port}/v1/", None))
    predict.predict(account, s3_uri="s3://raw/1.jpg")
    assert "/eu-west-1/execute-api/aws4_request" in server.headers["authorization"]
    assert "x-api-key" not in server.headers


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            403,
            {"title": "Bucket not allowed", "detail": "the bucket other may not be read", "request_id": "r-2"},
            "403 Bucket not allowed: the bucket other may not be read (request r-2)",
        ),
        (429, {"message": "Limit Exceeded"}, "429 the API refused: Limit Exceeded"),
        (502, None, "502 the API refused: Bad Gateway"),
    ],
    ids=["problem", "gateway", "no body"],
)
def test_a_problem_is_told_with_its_detail(
    account: Account, server: Server, status: int, body: dict[str, str] | None, message: str
) -> None:
    server.status, server.body = status, json.dumps(body).encode() if body else b"<html>"
    with pytest.raises(PredictionError) as caught:
        predict.predict(account, s3_uri="s3://other/1.jpg")
    assert (str(caught.value), caught.value.status, caught.value.problem) == (message, status, body or {})


def test_an_api_that_does_not_answer_is_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "api", lambda _account: Api("http://127.0.0.1:9/v1/", None))
    with pytest.raises(PredictionError, match=r"no answer from http://127\.0\.0\.1:9/v1/predictions: .*refused"):
        predict.predict(account, s3_uri="s3://raw/1.jpg")


def test_exactly_one_photo_is_asked_for(account: Account) -> None:
    with pytest.raises(OpsError, match="give --s3-uri or --image-url, and only one of them"):
        predict.predict(account)
    with pytest.raises(OpsError, match="only one of them"):
        predict.predict(account, s3_uri="s3://a/b", image_url="https://a/b")


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
