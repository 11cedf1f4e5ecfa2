"""Everything that a caller controls, and everything that API Gateway might send: always a valid answer, never a 500."""

import base64
import json
import string
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

answers: Any = import_module("tests.lambda.answers")
remotes: Any = import_module("tests.lambda.remotes")
tests: Any = import_module("tests.lambda.predictions")

MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

TEXT = st.text(max_size=12)
WILD = st.text(st.characters(codec=None), max_size=12)  # with surrogates, controls and what nobody has assigned
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WILD),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WILD, inner, max_size=3)),
    max_leaves=8,
)
URLS = st.one_of(
    st.just(tests.URL),
    WILD,
    st.builds(
        lambda *parts: "".join(parts),
        st.sampled_from(["https://", "http://", "HTTPS:", "file://", "ftp://", "gopher://", "//", "", "https:\\\\"]),
        st.sampled_from(["", "user:pass@", "@", "a@b@"]),
        st.one_of(
            st.sampled_from(
                [
                    *("127.0.0.1", "0x7f.1", "2130706433", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[", "]"),
                    *(
                        "localhost",
                        "８.８.８.８",
                        "8。8。8。8",
                        "a.example",
                        "xn--",
                        "-a.b",
                        "a..b",
                        "8.8.8.8",
                        "ß.example",
                    ),
                    remotes.HOST,
                ]
            ),
            WILD,
        ),
        st.sampled_from(["", ":443", ":80", ":22", ":", ":a", ":99999999999"]),
        st.sampled_from(["", "/", "/1.jpg", "/é", "/%00", "/\\", "/\r\nHost: a", "?q", "#f", "/../.."]),
        WILD,
    ),
)
URIS = st.one_of(
    st.just(tests.URI),
    WILD,
    st.builds(
        lambda scheme, bucket, key: f"{scheme}{bucket}/{key}",
        st.sampled_from(["s3://", "S3://", "s3:", "https://", ""]),
        st.one_of(st.sampled_from(["raw", "extra", "private", "raw.", "RAW", "arn:aws:s3:::raw"]), WILD),
        st.one_of(st.sampled_from(["photos/1.jpg", "photos/", "photos/../1", "", "a" * 1100]), WILD),
    ),
)
COUNTS = st.one_of(st.integers(-1, 7), st.integers(), st.floats(), st.booleans(), st.none(), TEXT)
PHOTOS = st.one_of(
    st.fixed_dictionaries({"image_url": URLS}, optional={"expected_count": COUNTS}),
    st.fixed_dictionaries({"image_url": URLS}),
    st.fixed_dictionaries({"s3_uri": URIS}, optional={"expected_count": st.integers(1, 5), "version_id": WILD}),
    st.fixed_dictionaries({"s3_uri": URIS}),
)
VALUES = st.one_of(PHOTOS, st.fixed_dictionaries({"images": st.lists(PHOTOS, max_size=17)}), JSON)
TEXTS = st.one_of(
    VALUES.map(json.dumps),
    st.none(),
    WILD,
    st.binary(max_size=30).map(lambda content: base64.b64encode(content).decode()),
    st.sampled_from(
        [base64.b64encode(tests.JPEG).decode(), "{", '{"image_url": "a", "image_url": "b"}', "NaN", "1" * 5000]
    ),
)
NAMES = st.one_of(
    st.sampled_from(["Content-Type", "content-type", "CONTENT-TYPE", "Idempotency-Key", "idempotency-key", "Host"]),
    st.sampled_from(["X-Amzn-Trace-Id", "X-Forwarded-For", "x-api-key", "Content-Length", "Content-Encoding"]),
    TEXT,
)
CONTENTS = st.one_of(
    st.sampled_from(
        ["application/json", "image/jpeg", "image/png; a=b", "text/plain", "application/json;", "gzip", ""]
    ),
    st.text(string.printable, max_size=20),
    WILD,
    st.text("~", min_size=250, max_size=260),
)
QUERIES = st.sampled_from(["expected_count", "expected_count", "Expected_count", "", "size"])
NUMBERS = st.one_of(st.integers(-1, 7).map(str), WILD)


def maps(names: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What API Gateway makes of headers or a query: null, or a map."""
    return st.one_of(st.none(), st.dictionaries(names, values, max_size=3))


CONTROLLED = st.fixed_dictionaries(
    {},
    optional={
        "path": WILD,
        "headers": maps(NAMES, CONTENTS),
        "multiValueHeaders": maps(NAMES, st.lists(CONTENTS, max_size=2)),
        "queryStringParameters": maps(QUERIES, NUMBERS),
        "multiValueQueryStringParameters": maps(QUERIES, st.lists(NUMBERS, max_size=2)),
        "body": TEXTS,
        "isBase64Encoded": st.booleans(),
        "requestContext": st.one_of(st.none(), st.fixed_dictionaries({"requestId": st.one_of(WILD, JSON)})),
    },
)
MAPS = st.dictionaries(st.one_of(NAMES, QUERIES), JSON, max_size=3)
MISSHAPEN = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.one_of(MAPS, JSON),
        "multiValueHeaders": st.one_of(MAPS, JSON),
        "queryStringParameters": st.one_of(MAPS, JSON),
        "multiValueQueryStringParameters": st.one_of(MAPS, JSON),
        "body": JSON,
        "isBase64Encoded": JSON,
        "requestContext": JSON,
    },
)


@pytest.fixture(autouse=True)
def photo(predictions: Any) -> None:
    predictions.put("photos/1.jpg")
    predictions.s3.create_bucket(Bucket="extra", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def refuses_or_counts(predictions: Any, event: Any, capsys: Any) -> int:
    """The status, which is none of our own faults; nothing inside was connected to, and the log is sound."""
    status, body, _ = predictions.send(event)
    problems = [result.get("problem") for result in body.get("results", [])] if status == 200 else [body]
    codes = {problem["code"] for problem in problems if problem}
    assert not codes & {"internal_error", "model_failed", "timeout", "storage_failed"}, body
    assert predictions.internet.inside == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["event"] == "prediction"
    assert lines[0]["status"] == status
    assert set(lines[0].get("codes", {})) == codes
    return int(status)


@MANY
@given(kind=st.sampled_from(["api_json", "api_image", "api_batch", "api_nulls"]), changes=CONTROLLED)
@example(kind="api_json", changes={"body": "[" * 100_000})
@example(kind="api_json", changes={"body": '{"images": ' + "[" * 50_000})
@example(kind="api_image", changes={"body": "\ud800"})
@example(kind="api_image", changes={"isBase64Encoded": False})
@example(kind="api_json", changes={"isBase64Encoded": True})
def test_whatever_a_caller_controls_is_answered_validly(
    predictions: Any, captured: Any, capsys: pytest.CaptureFixture[str], kind: str, changes: dict[str, Any]
) -> None:
    assert refuses_or_counts(predictions, {**captured(kind), **changes}, capsys) != 500


@MANY
@given(body=VALUES)
def test_whatever_json_is_posted_is_answered_validly(
    predictions: Any, capsys: pytest.CaptureFixture[str], body: Any
) -> None:
    refuses_or_counts(predictions, predictions.event(body), capsys)


@MANY
@given(body=st.binary(max_size=200), media_type=CONTENTS, query=maps(QUERIES, NUMBERS))
def test_whatever_bytes_are_posted_are_answered_validly(
    predictions: Any,
    capsys: pytest.CaptureFixture[str],
    body: bytes,
    media_type: str,
    query: dict[str, str] | None,
) -> None:
    refuses_or_counts(predictions, predictions.event(body, media_type, query), capsys)


@MANY
@given(event=st.one_of(JSON, MISSHAPEN))
@example(event={"headers": {"Content-Type": 3}, "queryStringParameters": {"expected_count": 3}})
def test_what_is_no_event_at_all_is_answered_validly(
    predictions: Any, capsys: pytest.CaptureFixture[str], event: Any
) -> None:
    refuses_or_counts(predictions, event, capsys)


@MANY
@given(answer=st.one_of(st.binary(max_size=50), JSON.map(lambda value: json.dumps(value).encode())), change=JSON)
@example(answer=b"[" * 60_000, change=None)
def test_whatever_the_model_answers_the_caller_gets_a_valid_answer(
    predictions: Any, answer: bytes, change: Any
) -> None:
    changed = [json.dumps({**tests.COUNTED, member: change}).encode() for member in tests.COUNTED]
    for given_answer in (answer, *changed):
        predictions.endpoint.answer = given_answer
        status, body, _ = predictions.ask({"image_url": tests.URL, "expected_count": 3})
        assert status == 200 or body["code"] == "model_failed"


@pytest.fixture
def wild(predictions: Any) -> dict[str, bytes]:
    """A remote that sends what is put in here."""
    said: dict[str, bytes] = {}
    predictions.internet.site("wild.example.com", lambda connection, _: connection.sendall(said["answer"]))
    return said


@MANY
@given(photo=st.binary(max_size=50), status=st.integers(100, 999), headers=st.lists(st.binary(max_size=30), max_size=3))
def test_whatever_a_remote_sends_the_caller_gets_a_valid_answer(
    predictions: Any, wild: dict[str, bytes], photo: bytes, status: int, headers: list[bytes]
) -> None:
    lines = [f"HTTP/1.1 {status} X".encode(), f"Content-Length: {len(photo)}".encode(), *headers]
    wild["answer"] = b"\r\n".join(lines) + b"\r\n\r\n" + photo
    found, problem, _ = predictions.ask({"image_url": "http://wild.example.com/1.jpg"})
    assert found in (200, 404, 413, 415, 424), problem


@MANY
@given(event=st.one_of(JSON, CONTROLLED), resource=st.one_of(st.just("/openapi.json"), WILD, JSON))
def test_the_other_function_answers_everything_as_well(load: Any, event: Any, resource: Any) -> None:
    (about,) = load("api", "about")
    response = about.handler({**event, "resource": resource, "httpMethod": "GET"} if isinstance(event, dict) else event)
    assert response["statusCode"] in (200, 404)
    assert json.loads(response["body"])
