"""POST /predictions: real objects in S3 (moto), real remotes, an endpoint that answers or fails as SageMaker's do."""

import base64
import functools
import json
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import boto3
import pytest

fakes: Any = import_module("tests.lambda.fakes")
remotes: Any = import_module("tests.lambda.remotes")

JPEG = b"\xff\xd8\xff\xe0" + b"photo" * 100
ANSWER = {
    "count": 3,
    "confidence": 0.93,
    "probabilities": {"1": 0.01, "2": 0.02, "3": 0.93, "4": 0.02, "5": 0.02},
    "model": "0f3a5c7e9b1d",
}
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


@pytest.fixture
def api(load: Any, aws: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The handler, allowed to read the bucket `raw`, which holds a photo."""
    for name, value in {"ENDPOINT_NAME": "tally-dev", "BUCKETS": "raw, extra", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    for bucket in ("raw", "private"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket=bucket, Key="photos/1.jpg", Body=JPEG)
    (module,) = load("api", "handler")
    return module


@pytest.fixture
def endpoint(api: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The endpoint that the handler asks."""
    runtime = fakes.Runtime()
    runtime.answer = json.dumps(ANSWER).encode()
    real = api._client
    monkeypatch.setattr(
        api, "_client", lambda service, seconds: runtime if service == "sagemaker-runtime" else real(service, seconds)
    )
    return runtime


@pytest.fixture
def web(api: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Every host leads to this remote, whose photo is `web.photo`."""

    class Web:
        photo = JPEG

    remote = remotes.Remote(lambda connection, _: connection.sendall(remotes.answer(Web.photo)))
    fetcher = functools.partial(api.Fetcher, resolver=lambda *_: [remotes.PUBLIC], connector=remote.connect)
    monkeypatch.setattr(api, "Fetcher", fetcher)
    yield Web
    remote.close()


def ask(
    api: ModuleType, captured: Any, body: Any, *, encoded: bool = False
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Send a body through the captured event: status, answer and headers."""
    text = body if isinstance(body, str) else json.dumps(body)
    event = {**captured("prediction"), "body": base64.b64encode(text.encode()).decode() if encoded else text}
    response = api.handler({**event, "isBase64Encoded": encoded})
    assert response["isBase64Encoded"] is False
    return response["statusCode"], json.loads(response["body"]), response["headers"]


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
def test_a_photo_in_s3_is_counted(api: ModuleType, endpoint: Any, captured: Any, encoded: bool) -> None:
    status, answer, headers = ask(api, captured, {"s3_uri": "s3://raw/photos/1.jpg"}, encoded=encoded)
    assert status == 200
    assert answer == {**ANSWER, "request_id": REQUEST_ID}
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    (request,) = endpoint.requests
    assert request == {
        "EndpointName": "tally-dev",
        "ContentType": "image/jpeg",
        "Accept": "application/json",
        "Body": JPEG,
    }


def test_a_photo_by_url_is_counted(api: ModuleType, endpoint: Any, web: Any, captured: Any) -> None:
    status, answer, _ = ask(api, captured, {"image_url": "http://photos.example.com/1.jpg"})
    assert (status, answer["count"]) == (200, 3)
    assert endpoint.requests[0]["Body"] == JPEG


@pytest.mark.parametrize(
    ("photo", "media_type"),
    [(b"\x89PNG\r\n\x1a\n....", "image/png"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp")],
)
def test_the_type_is_told_by_the_bytes(
    api: ModuleType, endpoint: Any, web: Any, captured: Any, photo: bytes, media_type: str
) -> None:
    web.photo = photo
    assert ask(api, captured, {"image_url": "http://photos.example.com/1.jpg"})[0] == 200
    assert endpoint.requests[0]["ContentType"] == media_type


@pytest.mark.parametrize(
    "photo", [b"", b"<svg/>", b"GIF89a....", b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVE", b"\xff\xd8"]
)
def test_what_is_no_photo_is_not_sent_to_the_model(
    api: ModuleType, endpoint: Any, web: Any, captured: Any, photo: bytes
) -> None:
    web.photo = photo
    status, problem, _ = ask(api, captured, {"image_url": "http://photos.example.com/1.jpg"})
    assert (status, problem["code"]) == (415, "not_an_image")
    assert endpoint.requests == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not an object"),
        ("null", "it is not an object"),
        ("{}", "it has neither"),
        ({"image_url": "https://a.example/1.jpg", "s3_uri": "s3://raw/1.jpg"}, "it has both"),
        ({"image_url": "https://a.example/1.jpg", "size": 3}, "it has the unknown key 'size'"),
        ({"image_url": 7}, "image_url is not a text"),
        ({"s3_uri": ""}, "s3_uri is not a text"),
        ({"image_url": None}, "image_url is not a text"),
    ],
)
def test_a_malformed_request_is_named(api: ModuleType, endpoint: Any, captured: Any, body: Any, detail: str) -> None:
    status, problem, headers = ask(api, captured, body)
    assert status == 400
    assert problem == {
        "type": "urn:tally:problem:bad_request",
        "title": "Bad Request",
        "status": 400,
        "code": "bad_request",
        "detail": f'the body must be {{"image_url": ...}} or {{"s3_uri": ...}}: {detail}',
        "request_id": REQUEST_ID,
    }
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("uri", "status", "code"),
    [
        ("s3://private/photos/1.jpg", 403, "bucket_not_allowed"),
        ("s3://raw.evil/photos/1.jpg", 403, "bucket_not_allowed"),
        ("s3://raw/photos/2.jpg", 404, "object_not_found"),
        ("s3://extra/photos/2.jpg", 404, "object_not_found"),
        ("s3://raw/", 400, "bad_uri"),
        ("s3://raw", 400, "bad_uri"),
        ("S3://raw/1.jpg", 400, "bad_uri"),
        ("https://raw/1.jpg", 400, "bad_uri"),
        ("s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x/1.jpg", 400, "bad_uri"),
    ],
)
def test_s3_is_read_from_allowed_buckets_only(
    api: ModuleType, endpoint: Any, captured: Any, uri: str, status: int, code: str
) -> None:
    found, problem, _ = ask(api, captured, {"s3_uri": uri})
    assert (found, problem["code"]) == (status, code)
    assert endpoint.requests == []


def test_an_object_that_is_too_large_is_refused(api: ModuleType, endpoint: Any, captured: Any) -> None:
    boto3.client("s3").put_object(Bucket="raw", Key="large.jpg", Body=JPEG + bytes(6 * 1024 * 1024))
    status, problem, _ = ask(api, captured, {"s3_uri": "s3://raw/large.jpg"})
    assert (status, problem["code"]) == (413, "too_large")


def test_an_object_that_may_not_be_read_is_told_apart(
    api: ModuleType, endpoint: Any, captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Denied:
        def get_object(self, **_: str) -> None:
            raise fakes.refusal("GetObject", "AccessDenied", "no kms:Decrypt", 403)

    monkeypatch.setattr(api, "_client", lambda *_: Denied())
    status, problem, _ = ask(api, captured, {"s3_uri": "s3://raw/photos/1.jpg"})
    assert (status, problem["code"]) == (403, "object_not_readable")
    assert "kms" not in json.dumps(problem)


def test_an_address_inside_is_refused(api: ModuleType, endpoint: Any, captured: Any) -> None:
    status, problem, _ = ask(api, captured, {"image_url": "http://169.254.169.254/latest/meta-data/"})
    assert (status, problem["code"]) == (403, "address_not_public")


def test_http_is_refused_unless_it_is_allowed(
    api: ModuleType, endpoint: Any, captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_HTTP", "false")
    status, problem, _ = ask(api, captured, {"image_url": "http://photos.example.com/1.jpg"})
    assert (status, problem["code"]) == (400, "bad_url")


def model_error(status: int, **body: str) -> Exception:
    fields = {"OriginalStatusCode": status, "OriginalMessage": json.dumps(body)}
    error: Exception = fakes.refusal("InvokeEndpoint", "ModelError", "Received error from primary", 424, **fields)
    return error


@pytest.mark.parametrize(
    ("answer", "status", "code", "retry_after"),
    [
        (
            fakes.refusal("InvokeEndpoint", "ValidationError", "Endpoint tally-dev of account 1 not found."),
            503,
            "no_model",
            "60",
        ),
        (fakes.refusal("InvokeEndpoint", "ThrottlingException", "Rate exceeded"), 503, "busy", "1"),
        (fakes.refusal("InvokeEndpoint", "ModelNotReadyException", "not yet", 429), 503, "busy", "1"),
        (fakes.refusal("InvokeEndpoint", "AccessDeniedException", "role x may not", 403), 502, "model_failed", None),
        (model_error(422, code="undecodable", message="the photo is damaged"), 422, "undecodable", None),
        (model_error(413, code="too_large", message="smaller, please"), 413, "too_large", None),
        (model_error(503, code="busy", message="64 photos are waiting"), 503, "busy", "1"),
        (model_error(500, code="internal_error", message="see the log"), 502, "model_failed", None),
        (b"not JSON", 502, "model_failed", None),
        (b"{}", 502, "model_failed", None),
        (RuntimeError("a bug with a secret"), 500, "internal_error", None),
    ],
)
def test_what_goes_wrong_behind_is_a_problem_of_its_own(
    api: ModuleType,
    endpoint: Any,
    captured: Any,
    answer: Any,
    status: int,
    code: str,
    retry_after: str | None,
) -> None:
    endpoint.answer = answer
    found, problem, headers = ask(api, captured, {"s3_uri": "s3://raw/photos/1.jpg"})
    assert (found, problem["code"], headers.get("Retry-After")) == (status, code, retry_after)
    assert problem["status"] == found
    for inner in ("role x", "account 1", "secret"):
        assert inner not in json.dumps(problem)


def test_a_model_that_takes_too_long_is_a_timeout(
    api: ModuleType, captured: Any, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = remotes.Remote(remotes.sends(3.0))
    host, port = remote._listener.getsockname()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://{host}:{port}")
    monkeypatch.setattr(api, "_MODEL_SECONDS", 1)
    status, problem, headers = ask(api, captured, {"s3_uri": "s3://raw/photos/1.jpg"})
    assert (status, problem["code"], headers["Retry-After"]) == (504, "model_timeout", "1")
    remote.close()


def test_the_log_is_one_line_that_names_the_host_and_no_more(
    api: ModuleType, endpoint: Any, web: Any, captured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(api, captured, {"image_url": "http://photos.example.com/1.jpg?X-Amz-Signature=abcdef"})
    ask(api, captured, {"image_url": "http://user:secret@photos.example.com/1.jpg"})
    (line, refused) = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert line.pop("ms") >= 0
    assert line == {
        "event": "prediction",
        "request_id": REQUEST_ID,
        "source": "image_url",
        "place": "photos.example.com",
        "status": 200,
        "count": 3,
        "model": ANSWER["model"],
    }
    assert refused["code"] == "bad_url"
    assert not any(word in json.dumps([line, refused]) for word in ("abcdef", "secret", "1.jpg"))
