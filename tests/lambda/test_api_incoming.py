"""Requests as they come: JSON strictly read, photos as bodies, queries and headers in every way they are written."""

import base64
import json
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JPEG = b"\xff\xd8\xff\xe0"


@pytest.fixture
def incoming(load: Any) -> ModuleType:
    (module,) = load("api", "incoming")
    return module


def event(body: str | None = None, media_type: str | None = "application/json", **members: Any) -> dict[str, Any]:
    headers = {"Content-Type": media_type} if media_type is not None else None
    return {"headers": headers, "body": body, **members}


def encoded(content: bytes, media_type: str = "image/jpeg", **members: Any) -> dict[str, Any]:
    return event(base64.b64encode(content).decode(), media_type, isBase64Encoded=True, **members)


def problem(incoming: ModuleType, given: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(incoming.ProblemError) as caught:
        incoming.read_request(given)
    return caught.value.code, caught.value.detail


def test_one_photo_by_url(incoming: ModuleType) -> None:
    request = incoming.read_request(event('{"image_url": "https://a.example/1.jpg", "expected_count": 2}'))
    assert request == incoming.Request((incoming.Photo("url", "https://a.example/1.jpg", expected_count=2),))


def test_several_photos(incoming: ModuleType) -> None:
    body = '{"images": [{"s3_uri": "s3://b/k", "version_id": "v"}, {"image_url": "https://a.example/1.jpg"}]}'
    photos = (incoming.Photo("s3", "s3://b/k", version_id="v"), incoming.Photo("url", "https://a.example/1.jpg"))
    assert incoming.read_request(event(body)) == incoming.Request(photos, batch=True)


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp", "Image/JPEG; name=a", " image/jpeg "])
def test_a_photo_as_the_body(incoming: ModuleType, media_type: str) -> None:
    request = incoming.read_request(encoded(JPEG, media_type, queryStringParameters={"expected_count": "4"}))
    assert request == incoming.Request((incoming.Photo("body", expected_count=4, content=JPEG),))


@pytest.mark.parametrize(
    "media_type",
    [None, "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "", ";", "application/json;"],
)
def test_json_is_what_is_called_so_or_not_called_at_all(incoming: ModuleType, media_type: str | None) -> None:
    given = event('{"s3_uri": "s3://b/k"}', media_type)
    if media_type == ";":
        assert problem(incoming, given)[0] == "unsupported_media_type"
    else:
        assert incoming.read_request(given).photos[0].address == "s3://b/k"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "image/gif",
        "image/jpg",
        "*",
    ],
)
def test_other_types_are_refused_with_those_that_are_taken(incoming: ModuleType, media_type: str) -> None:
    assert problem(incoming, event("{}", media_type)) == (
        "unsupported_media_type",
        "the Content-Type must be one of application/json, image/jpeg, image/png, image/webp",
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "the body is not JSON: Expecting value (line 1, column 1)"),
        ("", "the body is not JSON: Expecting value (line 1, column 1)"),
        ('{"image_url": }', "the body is not JSON: Expecting value (line 1, column 15)"),
        ("{'image_url': 'x'}", "the body is not JSON: Expecting property name enclosed in double quotes"),
        ('{"image_url": "x"} {}', "the body is not JSON: Extra data (line 1, column 20)"),
        ("\ufeff{}", "the body is not JSON: "),
        ("[" * 100_000, "the body is not JSON of this API: it is nested too deeply"),
        ('{"a":' * 100_000, "the body is not JSON of this API: it is nested too deeply"),
        ('{"image_url": "x", "image_url": "y"}', "the body is not JSON of this API: an object has a member twice"),
        ('{"images": [{"s3_uri": "x", "s3_uri": "x"}]}', "the body is not JSON of this API: an object has a member"),
        ('{"image_url": "x", "image\\u005furl": "y"}', "the body is not JSON of this API: an object has a member"),
        ('{"image_url": "x", "expected_count": NaN}', "the body is not JSON of this API: it has a number that is"),
        ('{"image_url": "x", "expected_count": Infinity}', "the body is not JSON of this API: it has a number that"),
        ('{"image_url": "x", "expected_count": -Infinity}', "the body is not JSON of this API: it has a number that"),
        (f'{{"expected_count": {"9" * 5000}}}', "the body is not JSON of this API: it has a number that is too long"),
        ('{"image_url": "x", "expected_count": 1e999}', "expected_count is Infinity; it must be a whole number"),
        ('{"image_url": "x", "expected_count": 1e300}', "expected_count is 1e+300; it must be from 1 to 5"),
        (r'{"image_url": "https://a/\ud800"}', "the body is not JSON: it is not UTF-8 all through, or has half a"),
        (r'{"\udfff": 1}', "the body is not JSON: it is not UTF-8 all through, or has half a character"),
        ("\ud800", "the body is not UTF-8"),
    ],
)
def test_json_that_cannot_be_read_in_one_way_is_refused(incoming: ModuleType, body: str | None, detail: str) -> None:
    code, said = problem(incoming, event(body))
    assert code == "bad_request"
    assert said.startswith(detail)
    plain = (body or "").encode(errors="surrogatepass")
    assert problem(incoming, encoded(plain, "application/json"))[0] == "bad_request"


def test_bytes_that_are_not_utf_8_are_no_json(incoming: ModuleType) -> None:
    assert problem(incoming, encoded(b'{"image_url": "\xff"}', "application/json"))[0] == "bad_request"


def test_a_pair_of_halves_is_a_character(incoming: ModuleType) -> None:
    request = incoming.read_request(event(r'{"s3_uri": "s3://b/\ud83d\udce6"}'))
    assert request.photos[0].address == "s3://b/\N{PACKAGE}"


@pytest.mark.parametrize("content", [b"", None])
def test_an_empty_body_is_no_photo(incoming: ModuleType, content: bytes | None) -> None:
    given = event(None, "image/jpeg") if content is None else encoded(content)
    assert problem(incoming, given) == ("bad_request", "the body is empty; send the bytes of the photo")


@pytest.mark.parametrize("body", ["a", "____", "aGk=\n", "aGk", "é", "aG k="])
def test_a_body_that_is_no_base64_is_refused(incoming: ModuleType, body: str) -> None:
    assert problem(incoming, event(body, "image/jpeg", isBase64Encoded=True))[0] == "bad_request"


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2, 3, 4])
def test_a_photo_as_the_body_has_at_most_4_mib(incoming: ModuleType, beyond: int) -> None:
    given = encoded(bytes(4 * 1024 * 1024 + beyond))
    if beyond <= 0:
        assert len(incoming.read_request(given).photos[0].content) == 4 * 1024 * 1024 + beyond
    else:
        detail = "the body has more than 4194304 bytes; send a larger photo by image_url or s3_uri"
        assert problem(incoming, given) == ("too_large", detail)


def test_a_body_too_large_is_refused_before_it_is_decoded(
    incoming: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming.base64, "b64decode", None)
    assert problem(incoming, event("A" * 8_000_000, "image/jpeg", isBase64Encoded=True))[0] == "too_large"


def test_json_has_at_most_512_kib(incoming: ModuleType) -> None:
    assert problem(incoming, event(" " * (512 * 1024 + 1)))[0] == "too_large"
    assert problem(incoming, event("é" * 400_000))[0] == "too_large"  # bytes, not characters
    assert problem(incoming, event(" " * (512 * 1024)))[0] == "bad_request"


def test_the_largest_batch_that_is_allowed_is_not_too_large(incoming: ModuleType) -> None:
    photo = {"s3_uri": "\N{PACKAGE}" * 1100, "version_id": "\N{PACKAGE}" * 1024, "expected_count": 3}
    assert len(incoming.read_request(event(json.dumps({"images": [photo] * 16}))).photos) == 16


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"size": "3"}, "there is no query parameter 'size'; there is expected_count"),
        ({"Expected_Count": "3"}, "there is no query parameter 'Expected_Count'; there is expected_count"),
        ({"": ""}, "there is no query parameter ''; there is expected_count"),
        ({"expected_count": "0"}, "the query parameter expected_count is 0; it must be from 1 to 5"),
        ({"expected_count": "6"}, "the query parameter expected_count is 6; it must be from 1 to 5"),
        ({"expected_count": "-1"}, "the query parameter expected_count is -1; it must be from 1 to 5"),
        *(
            (
                {"expected_count": text},
                f"the query parameter expected_count is {shown}; it must be a whole number from 1 to 5, written "
                "plainly",
            )
            for text, shown in (
                *((text, repr(text)) for text in ("", " 3", "3.0", "+3", "03", "three", "3\n", "1e0")),
                ("\uff13", r"'\uff13'"),
                ("٣", r"'\u0663'"),
                ("9" * 5000, f"'{'9' * 40}'"),
            )
        ),
    ],
)
def test_a_query_is_read_strictly(incoming: ModuleType, query: dict[str, str], detail: str) -> None:
    code, said = problem(incoming, encoded(JPEG, queryStringParameters=query))
    assert (code, said) == ("bad_request", detail)
    several = {name: [value] for name, value in query.items()}
    assert problem(incoming, encoded(JPEG, multiValueQueryStringParameters=several)) == (code, said)


def test_a_query_beside_json_is_refused(incoming: ModuleType) -> None:
    given = event('{"s3_uri": "s3://b/k"}', queryStringParameters={"expected_count": "3"})
    detail = "expected_count goes into the JSON of the body here, beside image_url or s3_uri"
    assert problem(incoming, given) == ("bad_request", detail)


def test_a_parameter_or_header_given_twice_is_refused(incoming: ModuleType) -> None:
    twice = {"expected_count": ["3", "3"]}
    given = encoded(JPEG, queryStringParameters={"expected_count": "3"}, multiValueQueryStringParameters=twice)
    detail = "the query parameter expected_count is given more than once"
    assert problem(incoming, given) == ("bad_request", detail)
    types = {"Content-Type": ["image/jpeg"], "content-type": ["application/json"]}
    given = {**encoded(JPEG), "multiValueHeaders": types}
    assert problem(incoming, given) == ("bad_request", "the header Content-Type is given more than once")


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
@pytest.mark.parametrize("member", ["headers", "multiValueHeaders"])
def test_headers_are_found_however_they_are_written(incoming: ModuleType, name: str, member: str) -> None:
    value = ["abc"] if member == "multiValueHeaders" else "abc"
    assert incoming.idempotency_key({member: {name: value}}) == "abc"


@pytest.mark.parametrize("given", [{}, {"headers": None}, {"headers": {}}, {"multiValueHeaders": {"a": None}}])
def test_no_idempotency_key_is_none(incoming: ModuleType, given: dict[str, Any]) -> None:
    assert incoming.idempotency_key(given) is None


@pytest.mark.parametrize("given", ["", "a b", "a\x00", "a" * 65, "<script>", "a\n", 7, None, ["a"]])
def test_a_request_id_that_callers_made_up_is_not_taken(incoming: ModuleType, given: Any) -> None:
    context = SimpleNamespace(aws_request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd")
    requested = {"requestContext": {"requestId": given}}
    assert incoming.request_id(requested, context) == context.aws_request_id
    assert len(incoming.request_id(requested, None)) == 36


PAIRS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


@MANY
@given(value=PAIRS)
def test_json_means_what_it_means_to_everybody(incoming: ModuleType, value: Any) -> None:
    text = json.dumps(value)
    if "Infinity" in text:
        return
    assert incoming.read_json(text.encode()) == value


@MANY
@given(content=st.binary(max_size=40))
def test_bytes_are_json_or_a_bad_request(incoming: ModuleType, content: bytes) -> None:
    try:
        incoming.read_json(content)
    except incoming.ProblemError as error:
        assert error.code == "bad_request"  # noqa: PT017 - that nothing is raised is right as well
