"""Photos from S3: real objects (moto), and an S3 that refuses, fails, dawdles or breaks off."""

import io
import time
from importlib import import_module
from types import ModuleType
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

services: Any = import_module("tests.lambda.services")
Reply = services.Reply

PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4
ETAG = {"ETag": '"0123456789abcdef0123456789abcdef"'}


@pytest.fixture
def storage(load: Any, aws: str) -> ModuleType:
    (module,) = load("api", "storage")
    return module


@pytest.fixture
def s3(aws: str) -> Any:
    client = boto3.client("s3")
    for bucket in ("raw", "private"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_bucket_versioning(Bucket="raw", VersioningConfiguration={"Status": "Enabled"})
    return client


class Recorder:
    """An S3 client that counts what it is asked."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            self.asked.append((name, request))
            return getattr(self._client, name)(**request)

        return call


def read(
    storage: ModuleType, s3: Any, uri: str, version: str | None = None, sources: str = "raw/", seconds: float = 20
) -> bytes:
    places = storage.Sources.parse(sources)
    photo: bytes = storage.read_photo(s3, uri, version, places, storage.Deadline(seconds))
    return photo


def problem(storage: ModuleType, *arguments: Any, **more: Any) -> Any:
    with pytest.raises(storage.ProblemError) as caught:
        read(storage, *arguments, **more)
    return caught.value


KEYS = [
    "photos/1.jpg",
    "photos/a b+c&d=e;f,g@h!i$j'k(l)m*n~.jpg",
    "photos/percent%2F..%2F%2e%2e.jpg",
    "photos/question?versionId=1#fragment",
    "photos/Küche-写真-😀.jpg",
    "photos//double.jpg",
    "photos/a..b/.hidden/...",
    "x" * 1024,
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_an_object_is_read_whatever_its_key_is_made_of(storage: ModuleType, s3: Any, key: str) -> None:
    s3.put_object(Bucket="raw", Key=key, Body=PHOTO)
    assert read(storage, s3, f"s3://raw/{key}") == PHOTO


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("line\nbreak\r\nHost: x", "/raw/line%0Abreak%0D%0AHost%3A%20x"),
        ("tab\tand\0", "/raw/tab%09and%00"),
        ("%2e%2e/%2E%2E/x", "/raw/%252e%252e/%252E%252E/x"),
        ("a?versionId=x&b#c", "/raw/a%3FversionId%3Dx%26b%23c"),
        ("back\\slash", "/raw/back%5Cslash"),
    ],
)
def test_a_key_cannot_change_the_request_to_s3(storage: ModuleType, aws: str, key: str, path: str) -> None:
    with services.service(HEAD, GET) as server:
        assert read(storage, server.client("s3"), f"s3://raw/{key}") == PHOTO
        assert server.requests == [f"HEAD {path}", f"GET {path}"]


def test_the_size_is_looked_at_first_and_only_that_object_is_read(storage: ModuleType, s3: Any) -> None:
    etag = s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO)["ETag"]
    recorder = Recorder(s3)
    read(storage, recorder, "s3://raw/1.jpg")
    place = {"Bucket": "raw", "Key": "1.jpg"}
    assert recorder.asked == [("head_object", place), ("get_object", {**place, "IfMatch": etag})]


def test_a_version_is_read_where_one_is_named_and_else_the_newest(storage: ModuleType, s3: Any) -> None:
    old = s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO + b"old")["VersionId"]
    s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO + b"new")
    assert read(storage, s3, "s3://raw/1.jpg") == PHOTO + b"new"
    assert read(storage, s3, "s3://raw/1.jpg", old) == PHOTO + b"old"


def test_a_deleted_object_is_not_found_but_its_older_version_is(storage: ModuleType, s3: Any) -> None:
    old = s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO)["VersionId"]
    marker = s3.delete_object(Bucket="raw", Key="1.jpg")["VersionId"]
    assert problem(storage, s3, "s3://raw/1.jpg").code == "object_not_found"
    assert problem(storage, s3, "s3://raw/1.jpg", marker).code == "object_not_found"
    assert read(storage, s3, "s3://raw/1.jpg", old) == PHOTO


@pytest.mark.parametrize("version", ["no-such-version", "null", "ä ö", "../x?y#z"])
def test_a_version_that_is_none_is_not_found_and_named(storage: ModuleType, s3: Any, version: str) -> None:
    s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO)
    found = problem(storage, s3, "s3://raw/1.jpg", version)
    assert (found.code, found.status) == ("object_not_found", 404)
    assert found.detail == f"there is no object s3://raw/1.jpg (version {version})"


def test_an_object_that_is_replaced_while_it_is_read_is_read_anew(storage: ModuleType, s3: Any) -> None:
    s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO)

    class Replacing(Recorder):
        def head_object(self, **request: Any) -> Any:
            head = s3.head_object(**request)
            if not self.asked:
                s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO + b"newer")
            return head

    recorder = Replacing(s3)
    assert read(storage, recorder, "s3://raw/1.jpg") == PHOTO + b"newer"
    assert len(recorder.asked) == 2


def test_an_object_of_too_many_bytes_is_refused_unread(storage: ModuleType, s3: Any) -> None:
    s3.put_object(Bucket="raw", Key="most.jpg", Body=bytes(storage.MAX_BYTES))
    s3.put_object(Bucket="raw", Key="more.jpg", Body=bytes(storage.MAX_BYTES + 1))
    assert len(read(storage, s3, "s3://raw/most.jpg")) == storage.MAX_BYTES
    recorder = Recorder(s3)
    found = problem(storage, recorder, "s3://raw/more.jpg")
    assert (found.code, found.status) == ("too_large", 413)
    assert [name for name, _ in recorder.asked] == ["head_object"]


def test_a_body_longer_than_was_said_is_cut_off(storage: ModuleType, aws: str) -> None:
    head = Reply(headers={**ETAG, "Content-Length": "5"})
    endless = Reply(body=bytes(storage.MAX_BYTES * 2), headers=ETAG)
    with services.service(head, endless) as server:
        assert problem(storage, server.client("s3"), "s3://raw/1.jpg").code == "too_large"


def test_of_a_body_without_an_end_little_more_than_the_limit_is_read(load: Any) -> None:
    (bodies,) = load("api", "bodies")

    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return bytes(size)

    body, limit = Endless(), 10 * bodies._CHUNK
    assert limit < len(bodies.read_up_to(body, limit)) == body.taken <= limit + bodies._CHUNK
    assert body.closed


@pytest.mark.parametrize(
    ("sources", "uri", "allowed"),
    [
        ("raw/", "s3://raw/1.jpg", True),
        ("raw/", "s3://raw2/1.jpg", False),
        ("raw/", "s3://raw.photos/1.jpg", False),
        ("raw/photos/", "s3://raw/photos/1.jpg", True),
        ("raw/photos/", "s3://raw/photos", False),
        ("raw/photos/", "s3://raw/photos-private/1.jpg", False),
        ("raw/photos/", "s3://raw//photos/1.jpg", False),
        ("raw/photos/", "s3://raw/Photos/1.jpg", False),
        ("raw/photos/", "s3://raw/%70hotos/1.jpg", False),
        ("raw/photos/", "s3://private/photos/1.jpg", False),
        ("private/other/,raw/photos/", "s3://raw/photos/1.jpg", True),
        ("private/other/,raw/photos/", "s3://raw/other/1.jpg", False),
        ("", "s3://raw/photos/1.jpg", False),
    ],
)
def test_photos_are_read_from_allowed_places_only(
    storage: ModuleType, s3: Any, sources: str, uri: str, allowed: bool
) -> None:
    for bucket in ("raw", "private"):
        s3.put_object(Bucket=bucket, Key="photos/1.jpg", Body=PHOTO)
    s3.put_object(Bucket="raw", Key="1.jpg", Body=PHOTO)
    if allowed:
        assert read(storage, s3, uri, sources=sources) == PHOTO
        return
    recorder = Recorder(s3)
    found = problem(storage, recorder, uri, sources=sources)
    assert (found.code, found.status) == ("location_not_allowed", 403)
    assert recorder.asked == []  # S3 is not even asked whether there is such an object
    assert "photos/," not in found.detail  # the allow-list itself is nobody's business
    assert "private" not in found.detail.replace(uri, "")


PIECES = [
    "s3://",
    "raw",
    "private",
    "/",
    "photos/",
    "photos",
    ".",
    "..",
    "%2e",
    "\\",
    "?",
    "#",
    "@",
    ":",
    " ",
    "\n",
    "é",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # the module keeps nothing
@given(
    rest=st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=20),
    start=st.sampled_from(["", "s3://", "s3://raw/", "s3://raw/photos/", "s3://private/"]),
)
def test_whatever_is_asked_of_s3_is_what_the_uri_says_and_allowed(storage: ModuleType, start: str, rest: str) -> None:
    class Asked(Exception):  # noqa: N818 - no error
        pass

    class S3:
        def head_object(self, **request: str) -> None:
            assert uri == f"s3://{request['Bucket']}/{request['Key']}"
            assert request["Bucket"] == "raw"
            assert request["Key"].startswith("photos/")
            assert ".." not in request["Key"].split("/")
            raise Asked

    uri = start + rest
    with pytest.raises((Asked, storage.ProblemError)) as caught:
        read(storage, S3(), uri, sources="raw/photos/")
    if isinstance(caught.value, storage.ProblemError):
        assert caught.value.code in ("bad_uri", "location_not_allowed")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "raw/1.jpg",
        "s3://",
        "s3://raw",
        "s3://raw/",
        "s3:///1.jpg",
        "S3://raw/1.jpg",
        "s3:/raw/1.jpg",
        " s3://raw/1.jpg",
        "https://raw/1.jpg",
        "s3://RAW/1.jpg",
        "s3://raw:443/1.jpg",
        "s3://user@raw/1.jpg",
        "s3://raw?x/1.jpg",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x/1.jpg",
        f"s3://{'b' * 64}/1.jpg",
        f"s3://raw/{'x' * 1025}",
        f"s3://raw/{'ü' * 513}",
        "s3://raw/half\ud83dcharacter.jpg",
        "s3://raw/photos/../secret/1.jpg",
        "s3://raw/../private/1.jpg",
        "s3://raw/photos/./1.jpg",
        "s3://raw/photos/..",
    ],
)
def test_a_malformed_uri_is_refused_before_s3_is_asked(storage: ModuleType, uri: str) -> None:
    recorder = Recorder(None)
    found = problem(storage, recorder, uri)
    assert (found.code, found.status) == ("bad_uri", 400)
    assert "s3_uri" in found.detail
    assert recorder.asked == []


@pytest.mark.parametrize("text", ["raw", "raw/,", ",raw/", " raw/", "RAW/photos/", "/photos/", "s3://raw/", "a/"])
def test_a_malformed_place_is_named(storage: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"S3_SOURCES has '.*'; each place must be like bucket/photos/"):
        storage.Sources.parse(text)


HEAD = Reply(headers={**ETAG, "Content-Length": str(len(PHOTO))})
GET = Reply(body=PHOTO, headers=ETAG)
REGION = {"x-amz-bucket-region": "eu-west-1"}
WRONG = Reply(400, headers=REGION)  # boto3 takes it for a wrong region and asks once more


def refusal(status: int, code: str) -> Any:
    return Reply(status, f"<Error><Code>{code}</Code><Message>role arn:aws:iam::1:role/x</Message></Error>".encode())


@pytest.mark.parametrize(
    ("replies", "version", "code", "asked"),
    [
        ([Reply(403)], None, "object_not_found", 1),  # what S3 says of a missing object to those who may not list
        ([Reply(404)], None, "object_not_found", 1),
        ([Reply(405)], "marker", "object_not_found", 1),
        ([WRONG], "malformed", "object_not_found", 2),
        ([WRONG], None, "object_not_readable", 2),  # encrypted with a key that comes with each request
        ([HEAD, refusal(403, "AccessDenied")], None, "object_not_readable", 2),
        ([HEAD, refusal(403, "InvalidObjectState")], None, "object_not_readable", 2),
        ([HEAD, refusal(400, "KMS.DisabledException")], None, "object_not_readable", 2),
        ([HEAD, refusal(404, "NoSuchKey")], None, "object_not_found", 2),
        ([Reply(301, headers=REGION)], None, "storage_failed", 2),
        ([refusal(503, "SlowDown")], None, "storage_failed", 4),
        ([HEAD, refusal(500, "InternalError")], None, "storage_failed", None),
        ([HEAD, refusal(412, "PreconditionFailed"), HEAD, refusal(412, "PreconditionFailed")] * 2, None,
         "storage_failed", 8),
        ([Reply(503), HEAD, GET], None, "", 3),
        ([HEAD, refusal(503, "SlowDown"), HEAD, GET], None, "", 4),
        ([HEAD, Reply(body=PHOTO, headers=ETAG, cut=True), HEAD, GET], None, "", 4),
        ([HEAD, Reply(body=PHOTO, headers={**ETAG, "x-amz-checksum-crc32": "AAAAAA=="}), HEAD, GET], None, "", 4),
    ],
)  # fmt: skip
def test_what_s3_says_becomes_a_problem_of_the_callers_or_is_asked_again(
    storage: ModuleType, aws: str, replies: list[Any], version: str | None, code: str, asked: int | None
) -> None:
    with services.service(*replies) as server:
        if code:
            found = problem(storage, server.client("s3"), "s3://raw/1.jpg", version)
            assert found.code == code
            assert found.__cause__ is not None  # for the log
            for inner in ("arn:", "role", "KMS", "127.0.0.1", "SlowDown"):
                assert inner not in found.detail
        else:
            assert read(storage, server.client("s3"), "s3://raw/1.jpg", version) == PHOTO
        assert asked is None or len(server.requests) == asked


def test_a_slow_s3_is_left_at_the_deadline(storage: ModuleType, aws: str) -> None:
    with services.service(Reply(headers=ETAG, after=6)) as server:
        began = time.monotonic()
        found = problem(storage, server.client("s3"), "s3://raw/1.jpg", seconds=0.3)
        assert time.monotonic() - began < 5
    assert (found.code, found.status) == ("storage_failed", 424)
    assert "in time" in found.detail


def test_an_s3_that_cannot_be_reached_is_a_failure(storage: ModuleType, aws: str) -> None:
    with services.service(Reply()) as server:
        client = server.client("s3")
    assert problem(storage, client, "s3://raw/1.jpg").code == "storage_failed"


def test_one_connection_serves_many_photos(storage: ModuleType, aws: str) -> None:
    with services.service(*[HEAD, GET] * 5) as server:
        client = server.client("s3")
        for _ in range(5):
            assert read(storage, client, "s3://raw/1.jpg") == PHOTO
        assert (len(server.requests), server.connections) == (10, 1)


def test_a_deadline_that_has_passed_asks_nothing(storage: ModuleType, aws: str) -> None:
    recorder = Recorder(None)
    assert problem(storage, recorder, "s3://raw/1.jpg", seconds=0).code == "storage_failed"
    assert recorder.asked == []
