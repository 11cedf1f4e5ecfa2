"""What the client sends and what it makes of answers, over real sockets."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tally_client import (
    BODY_LIMIT,
    ApiProblem,
    Client,
    Model,
    Photo,
    Prediction,
    Problem,
    Timings,
    UnexpectedAnswer,
    UsageError,
)
from tests.clients.conftest import KEY
from tests.clients.server import ANSWER, EXPECTED, HEALTH, Server, answer, batch, problem

JPEG, PNG, WEBP = b"\xff\xd8\xff\xe0 rest", b"\x89PNG\r\n\x1a\n rest", b"RIFF\x10\0\0\0WEBPVP8 rest"
PROBLEM = {"type": "urn:tally:problem:object_not_found", "title": "A title", "status": 404, "code": "object_not_found",
           "detail": "there is no such object", "request_id": "r-2"}  # fmt: skip


def test_a_photo_by_url_is_sent_as_json_with_the_key(server: Server, tally: Client) -> None:
    tally.predict(image_url="https://example.com/1.jpg")
    (sent,) = server.requests
    assert (sent.method, sent.path, sent.json) == (
        "POST",
        "/v1/predictions",
        {"image_url": "https://example.com/1.jpg"},
    )
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["user-agent"].startswith("tally-client/")


def test_a_photo_in_s3_has_its_version_and_what_was_expected(server: Server, tally: Client) -> None:
    tally.predict(s3_uri="s3://b/k", version_id="v 1", expected_count=2, idempotency_key="order-17")
    (sent,) = server.requests
    assert sent.json == {"s3_uri": "s3://b/k", "version_id": "v 1", "expected_count": 2}
    assert sent.headers["idempotency-key"] == "order-17"


@pytest.mark.parametrize(
    ("photo", "media_type"),
    [(JPEG, "image/jpeg"), (PNG, "image/png"), (WEBP, "image/webp")],
    ids=["jpeg", "png", "webp"],
)
def test_a_photo_itself_is_the_body(
    server: Server, tally: Client, tmp_path: Path, photo: bytes, media_type: str
) -> None:
    file = tmp_path / "photo"  # its type is not in its name
    file.write_bytes(photo)
    tally.predict(photo=photo)
    tally.predict(photo=file, expected_count=5)
    plain, expected = server.requests
    assert (plain.path, expected.path) == ("/v1/predictions", "/v1/predictions?expected_count=5")
    for sent in (plain, expected):
        assert (sent.body, sent.headers["content-type"]) == (photo, media_type)


def test_the_largest_photo_goes_and_one_byte_more_does_not(server: Server, tally: Client, tmp_path: Path) -> None:
    largest = JPEG.ljust(BODY_LIMIT, b"\0")
    tally.predict(photo=largest)
    assert len(server.requests[0].body) == BODY_LIMIT
    file = tmp_path / "large.jpg"
    file.write_bytes(largest + b"\0")
    with pytest.raises(
        UsageError, match=r"large\.jpg has more than 4194304 bytes, .*; send it smaller, or put it where"
    ):
        tally.predict(photo=file)
    assert len(server.requests) == 1


def test_an_answer_becomes_a_prediction(tally: Client) -> None:
    assert tally.predict(s3_uri="s3://b/k") == Prediction(
        count=3,
        confidence=0.9,
        probabilities={1: 0.01, 2: 0.05, 3: 0.9, 4: 0.03, 5: 0.01},
        model=Model("tally-dev", 7, "0123456789ab"),
        request_id="r-1",
        timings=Timings(12.5, 30, 43.1),
    )


def test_an_answer_to_an_expected_count_has_the_decision(server: Server, tally: Client) -> None:
    server.scripts = [answer(ANSWER | EXPECTED)]
    found = tally.predict(s3_uri="s3://b/k", expected_count=3)
    assert (found.expected_count, found.matches, found.expected_probability, found.decision) == (3, True, 0.9, "pass")
    assert found.to_dict() == ANSWER | EXPECTED


def test_members_that_the_api_gained_since_are_ignored(server: Server, tally: Client) -> None:
    server.scripts = [answer(ANSWER | {"weight_g": 12})]
    assert tally.predict(s3_uri="s3://b/k").count == 3


@pytest.mark.parametrize("photos", [1, 15, 16, 17, 40])
def test_many_photos_are_sent_sixteen_at_a_time_and_come_back_in_order(
    server: Server, tally: Client, photos: int
) -> None:
    sizes = [min(16, photos - start) for start in range(0, photos, 16)]
    server.scripts = [answer(batch(*[ANSWER | {"count": 1 + i % 5} for i in range(size)])) for size in sizes]
    found = tally.predict_many(Photo(s3_uri=f"s3://b/{i}", expected_count=4) for i in range(photos))
    assert [result.count for result in found if isinstance(result, Prediction)] == [
        1 + i % 5 for size in sizes for i in range(size)
    ]
    sent = [item["s3_uri"] for request in server.requests for item in request.json["images"]]
    assert sent == [f"s3://b/{i}" for i in range(photos)]
    assert [len(request.json["images"]) for request in server.requests] == sizes


def test_no_photos_need_no_request(server: Server, tally: Client) -> None:
    assert tally.predict_many([]) == []
    assert server.requests == []


def test_a_photo_of_several_that_fails_is_a_problem_in_its_place(server: Server, tally: Client) -> None:
    server.scripts = [answer(batch(ANSWER, PROBLEM, ANSWER))]
    first, second, third = tally.predict_many([Photo(s3_uri=f"s3://b/{i}") for i in range(3)])
    assert isinstance(first, Prediction)
    assert isinstance(third, Prediction)
    assert second == Problem(404, "object_not_found", "A title", "there is no such object", "r-2")
    assert str(second) == "404 object_not_found: there is no such object (request r-2)"


def swapped(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "results": body["results"][::-1]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (batch(ANSWER), "results is no list of 2"),
        (batch(ANSWER, ANSWER, ANSWER), "results is no list of 2"),
        (swapped(batch(ANSWER, ANSWER)), r"results\[0\] has the index 1"),
        ({"results": [{"index": 0, "status": 200}, {"index": 1, "status": 200}]}, "it has no member problem"),
        (ANSWER, "it has no member results"),
    ],
    ids=["fewer", "more", "swapped", "neither", "of one photo"],
)
def test_results_that_cannot_be_matched_to_photos_are_refused(
    server: Server, tally: Client, body: dict[str, Any], why: str
) -> None:
    server.scripts = [answer(body)]
    with pytest.raises(UnexpectedAnswer, match=why):
        tally.predict_many([Photo(s3_uri="s3://b/0"), Photo(s3_uri="s3://b/1")])


def test_what_was_counted_before_a_request_failed_is_kept(server: Server, tally: Client) -> None:
    server.scripts = [answer(batch(*[ANSWER] * 16)), problem(403, "forbidden")]
    with pytest.raises(ApiProblem) as caught:
        tally.predict_many([Photo(s3_uri=f"s3://b/{i}") for i in range(20)])
    assert [result.count for result in caught.value.results if isinstance(result, Prediction)] == [3] * 16


def test_health_says_which_model_is_in_service(server: Server, tally: Client) -> None:
    server.scripts = [answer(HEALTH)]
    found = tally.health()
    assert (found.endpoint, found.package, found.version, found.request_id) == ("InService", "tally-dev", 7, "r-3")
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/v1/health")
    assert server.requests[0].headers["x-api-key"] == KEY


def test_the_apis_document_comes_as_it_is(server: Server, tally: Client) -> None:
    server.scripts = [answer({"openapi": "3.1.0", "paths": {}})]
    assert tally.openapi() == {"openapi": "3.1.0", "paths": {}}
    assert server.requests[0].path == "/v1/openapi.json"


def test_a_problem_is_an_exception_with_everything_that_it_says(server: Server, tally: Client) -> None:
    server.scripts = [problem(424, "fetch_timeout")]
    with pytest.raises(ApiProblem) as caught:
        tally.predict(image_url="https://example.com/1.jpg")
    found = caught.value
    assert (found.status, found.code, found.detail) == (424, "fetch_timeout", "the detail of fetch_timeout")
    assert (found.request_id, found.retry_after, found.results) == ("r-2", None, ())
    assert str(found) == "424 fetch_timeout: the detail of fetch_timeout (request r-2)"


def test_a_problem_of_the_gateway_may_have_no_detail(server: Server, tally: Client) -> None:
    body = {"type": "urn:tally:problem:forbidden", "title": "Not allowed", "code": "forbidden", "request_id": "r-4"}
    server.scripts = [answer(body, 403)]
    with pytest.raises(ApiProblem, match=r"^403 forbidden: Not allowed \(request r-4\)$"):
        tally.health()


def test_many_threads_may_use_one_client(server: Server) -> None:
    found: Counter[int] = Counter()

    def ask() -> None:
        for _ in range(20):
            found[tally.predict(photo=JPEG).count] += 1

    with Client(server.url, KEY) as tally:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {3: 160}
    assert {request.body for request in server.requests} == {JPEG}
    assert server.connections <= 8, "threads keep their connections"


def test_a_connection_is_used_again(server: Server, tally: Client) -> None:
    for _ in range(5):
        tally.predict(s3_uri="s3://b/k")
    assert server.connections == 1


USAGE = {
    "nothing": ({}, "give one of image_url, s3_uri and photo, and only one"),
    "two places": ({"image_url": "https://a/b", "s3_uri": "s3://b/k"}, "only one"),
    "place and photo": ({"image_url": "https://a/b", "photo": JPEG}, "only one"),
    "a version of a URL": ({"image_url": "https://a/b", "version_id": "v"}, "version_id is the version of an object"),
    "a version of a body": ({"photo": JPEG, "version_id": "v"}, "version_id is the version of an object"),
    "zero objects": ({"s3_uri": "s3://b/k", "expected_count": 0}, "0; it must be a whole number from 1 to 5"),
    "six objects": ({"photo": JPEG, "expected_count": 6}, "expected_count is 6; it must be"),
    "true objects": ({"photo": JPEG, "expected_count": True}, "expected_count is True; it must be"),
    "three objects in words": ({"photo": JPEG, "expected_count": "3"}, "expected_count is '3'; it must be"),
    "a path as text": ({"photo": "bin.jpg"}, "photo is of type str; give its bytes, or a pathlib.Path to its file"),
    "no image": ({"photo": b"GIF89a"}, "the photo is no JPEG, PNG or WebP image (6 bytes)"),
    "a sound": ({"photo": b"RIFF\x10\0\0\0WAVEfmt "}, "the photo is no JPEG, PNG or WebP image"),
    "an empty photo": ({"photo": b""}, "the photo is no JPEG, PNG or WebP image (0 bytes)"),
    "no file": ({"photo": Path("no/such.jpg")}, "no/such.jpg cannot be read: No such file or directory"),
    "a folder": ({"photo": Path("/")}, "/ cannot be read: Is a directory"),
    "an idempotency key with a space": ({"photo": JPEG, "idempotency_key": "a b"}, "is 'a b'; it must be"),
    "an idempotency key that injects": ({"photo": JPEG, "idempotency_key": "a\r\nx: y"}, "1 to 255 printable"),
    "an empty idempotency key": ({"photo": JPEG, "idempotency_key": ""}, "idempotency_key is ''; it must be"),
    "a URL that is none": ({"image_url": 3}, "image_url is 3; it must be text"),
}  # fmt: skip


@pytest.mark.parametrize("case", USAGE, ids=lambda case: case.replace(" ", "-"))
def test_what_cannot_be_sent_is_named_and_nothing_is_sent(server: Server, tally: Client, case: str) -> None:
    arguments, message = USAGE[case]
    with pytest.raises(UsageError) as caught:
        tally.predict(**arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert server.requests == []


def test_many_takes_places_only(server: Server, tally: Client) -> None:
    with pytest.raises(UsageError, match="predict_many takes Photos, not bytes; a photo itself: predict"):
        tally.predict_many([JPEG])  # type: ignore[list-item]  # wrong on purpose
    assert server.requests == []
