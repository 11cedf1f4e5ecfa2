"""POST /predictions: real objects in S3 (moto), real remotes, an endpoint that answers or fails as SageMaker's do.

Every answer is held against openapi.json by `predictions`.
"""

import json
import threading
import time
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

fakes: Any = import_module("tests.lambda.fakes")
remotes: Any = import_module("tests.lambda.remotes")
tests: Any = import_module("tests.lambda.predictions")

COUNTED, JPEG, REQUEST_ID, URI, URL = tests.COUNTED, tests.JPEG, tests.REQUEST_ID, tests.URI, tests.URL
MODEL = {"package": "tally-dev", "version": 7, "file": "0f3a5c7e9b1d"}


class Context:
    """Lambda's context, with this much time left."""

    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> float:
        return 1000 * (self._end - time.monotonic())


def checked(answer: dict[str, Any], **more: Any) -> None:
    timings = answer["timings"]
    assert 0 <= timings["fetch_ms"] + timings["model_ms"] <= timings["total_ms"] + 0.05  # each is rounded
    counted = {name: COUNTED[name] for name in ("count", "confidence", "probabilities")}
    assert answer == {**counted, "model": MODEL, "request_id": REQUEST_ID, "timings": timings, **more}


def test_a_photo_in_s3_is_counted(predictions: Any) -> None:
    predictions.put("photos/1.jpg")
    status, answer, headers = predictions.ask({"s3_uri": URI})
    assert status == 200
    checked(answer)
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert predictions.endpoint.requests == [
        {"EndpointName": "tally-dev", "ContentType": "image/jpeg", "Accept": "application/json", "Body": JPEG}
    ]


def test_an_older_version_of_an_object_is_counted(predictions: Any) -> None:
    predictions.put("photos/1.jpg")
    s3 = predictions.s3
    s3.put_bucket_versioning(Bucket="raw", VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket="raw", Key="photos/1.jpg", Body=JPEG + b"old")["VersionId"]
    s3.put_object(Bucket="raw", Key="photos/1.jpg", Body=JPEG + b"new")
    assert predictions.ask({"s3_uri": URI, "version_id": old})[0] == 200
    assert predictions.endpoint.requests[0]["Body"] == JPEG + b"old"


def test_a_photo_by_url_is_counted(predictions: Any) -> None:
    status, answer, _ = predictions.ask({"image_url": URL})
    assert status == 200
    checked(answer)
    assert predictions.endpoint.requests[0]["Body"] == JPEG


@pytest.mark.parametrize(
    ("photo", "media_type"),
    [(JPEG, "image/jpeg"), (b"\x89PNG\r\n\x1a\n....", "image/png"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp")],
    ids=["jpeg", "png", "webp"],
)
@pytest.mark.parametrize("claimed", ["image/jpeg", "image/png", "IMAGE/WEBP; q=1"])
def test_a_photo_as_the_body_is_counted_and_its_type_told_by_its_bytes(
    predictions: Any, photo: bytes, media_type: str, claimed: str
) -> None:
    status, answer, _ = predictions.ask(photo, claimed)
    assert status == 200
    checked(answer)
    assert predictions.endpoint.requests[0]["ContentType"] == media_type
    assert predictions.endpoint.requests[0]["Body"] == photo


@pytest.mark.parametrize("photo", [b"<svg/>", b"GIF89a....", b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVE", b"\xff\xd8"])
def test_what_is_no_photo_is_not_sent_to_the_model(predictions: Any, photo: bytes) -> None:
    predictions.photo = photo
    for request in (predictions.event({"image_url": URL}), predictions.event(photo, "image/jpeg")):
        status, problem, _ = predictions.send(request)
        assert (status, problem["code"]) == (415, "not_an_image")
    assert predictions.endpoint.requests == []


@pytest.mark.parametrize(
    ("expected", "matches", "probability", "decision"),
    [(3, True, 0.93, "pass"), (1, False, 0.01, "fail"), (2, False, 0.02, "fail"), (3.0, True, 0.93, "pass")],
)
def test_an_expected_count_gets_a_decision(
    predictions: Any, expected: float, matches: bool, probability: float, decision: str
) -> None:
    verdict = {
        "expected_count": int(expected),
        "matches": matches,
        "expected_probability": probability,
        "decision": decision,
    }
    checked(predictions.ask({"image_url": URL, "expected_count": expected})[1], **verdict)
    query = {"expected_count": str(int(expected))}
    checked(predictions.ask(JPEG, "image/jpeg", query)[1], **verdict)


def test_the_operators_set_the_thresholds(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASS_PROBABILITY", "0.95")
    monkeypatch.setenv("FAIL_PROBABILITY", "0.01")
    decisions = [predictions.ask({"image_url": URL, "expected_count": count})[1]["decision"] for count in (3, 2, 1)]
    assert decisions == ["review", "review", "fail"]


def test_a_model_from_no_package_says_so(predictions: Any) -> None:
    predictions.endpoint.answer = json.dumps({**COUNTED, "package": None}).encode()
    assert predictions.ask({"image_url": URL})[1]["model"] == {**MODEL, "package": None, "version": None}


def test_each_photo_of_a_batch_succeeds_or_fails_for_itself(predictions: Any) -> None:
    predictions.put("photos/1.jpg")
    images = [
        {"s3_uri": URI, "expected_count": 3},
        {"image_url": "https://10.0.0.1/1.jpg"},
        {"s3_uri": "s3://private/photos/1.jpg"},
        {"image_url": URL},
        {"s3_uri": "s3://raw/photos/2.jpg"},
    ]
    status, answer, _ = predictions.ask({"images": images})
    assert (status, answer["succeeded"], answer["failed"], answer["request_id"]) == (200, 2, 3, REQUEST_ID)
    results = answer["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["status"] for result in results] == [200, 403, 403, 200, 404]
    assert results[0]["prediction"]["decision"] == "pass"
    assert "decision" not in results[3]["prediction"]
    codes = [result["problem"]["code"] for result in results if "problem" in result]
    assert codes == ["address_not_public", "location_not_allowed", "object_not_found"]
    assert all(result["problem"]["request_id"] == REQUEST_ID for result in results if "problem" in result)


@pytest.mark.parametrize("image", [{"image_url": URL}, {"image_url": "https://10.0.0.1/1.jpg"}], ids=["good", "bad"])
def test_a_batch_of_one_is_answered_as_a_batch(predictions: Any, image: dict[str, str]) -> None:
    status, answer, _ = predictions.ask({"images": [image]})
    assert (status, len(answer["results"])) == (200, 1)


def test_eight_photos_of_a_batch_are_fetched_side_by_side_and_no_more(
    predictions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(8, timeout=5)  # passes only when eight are there at once
    lock, here, most = threading.Lock(), 0, 0

    def fetch(*_: Any) -> bytes:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        together.wait()
        time.sleep(0.05)  # a ninth would come meanwhile
        with lock:
            here -= 1
        return JPEG

    monkeypatch.setattr(predictions.handler, "Fetcher", lambda **_: SimpleNamespace(fetch=fetch))
    _, answer, _ = predictions.ask({"images": [{"image_url": URL}] * 16})
    assert (answer["succeeded"], most) == (16, 8)


def test_a_slow_photo_takes_only_its_own_time(predictions: Any) -> None:
    remote = predictions.internet.site("slow.example.com", remotes.drips(b"HTTP/1.1 200 OK\r\n", b"x", 0.05))
    began = time.monotonic()
    images = [{"image_url": "http://slow.example.com/1.jpg"}, {"image_url": URL}]
    _, answer, _ = predictions.ask({"images": images}, context=Context(3))
    assert time.monotonic() - began < 20  # it would drip for fifty
    assert [result["status"] for result in answer["results"]] == [424, 200]
    assert answer["results"][0]["problem"]["code"] == "fetch_timeout"
    assert remote.requests


def test_fetching_may_take_a_part_of_the_time_only(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions.internet.site("slow.example.com", remotes.drips(b"HTTP/1.1 200 OK\r\n", b"x", 0.05))
    monkeypatch.setattr(predictions.handler, "FETCH_SECONDS", 0.2)
    began = time.monotonic()
    status, problem, _ = predictions.ask({"image_url": "http://slow.example.com/1.jpg"})
    assert (status, problem["code"]) == (424, "fetch_timeout")
    assert time.monotonic() - began < 5  # of the 26 s that there are


def test_work_that_overstays_does_not_hold_up_the_answer(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def fetch(url: str, _deadline: Any) -> bytes:
        if "hangs" in url:
            released.wait(30)  # whatever the deadline says
        return JPEG

    monkeypatch.setattr(predictions.handler, "Fetcher", lambda **_: SimpleNamespace(fetch=fetch))
    images = [{"image_url": "https://hangs.example.com/1.jpg"}, {"image_url": URL}]
    began = time.monotonic()
    _, answer, _ = predictions.ask({"images": images}, context=Context(3))
    assert time.monotonic() - began < 20
    released.set()
    assert [result["status"] for result in answer["results"]] == [504, 200]
    assert answer["results"][0]["problem"]["code"] == "timeout"


@pytest.mark.parametrize(
    "body", [{"image_url": URL}, {"images": [{"image_url": URL}]}, {"images": [{"s3_uri": URI}] * 2}]
)
def test_without_time_left_nothing_is_begun(predictions: Any, body: dict[str, Any]) -> None:
    status, answer, _ = predictions.ask(body, context=Context(0.9))
    found = [answer] if status == 504 else [result["problem"] for result in answer["results"]]
    assert {problem["code"] for problem in found} == {"timeout"}
    assert predictions.internet.connected == []
    assert predictions.endpoint.requests == []


def test_the_deadline_stays_below_that_of_the_gateway(predictions: Any) -> None:
    seconds = predictions.handler._seconds
    assert seconds(None) == 26
    assert seconds(Context(28)) == 26
    assert 4.5 < seconds(Context(6)) <= 5


@pytest.mark.parametrize("key", ["a", "order-4711/bin-3", "~" * 255])
@pytest.mark.parametrize("body", [{"image_url": URL}, {"images": []}, "{"], ids=["good", "empty batch", "no JSON"])
def test_an_idempotency_key_comes_back_with_every_answer(predictions: Any, key: str, body: Any) -> None:
    assert predictions.ask(body, idempotency_KEY=key)[2]["Idempotency-Key"] == key


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "é", "~" * 256, "a\r\nSet-Cookie: b=c"])
def test_a_malformed_idempotency_key_is_refused(predictions: Any, key: str) -> None:
    status, problem, headers = predictions.ask({"image_url": URL}, Idempotency_Key=key)
    assert (status, problem["code"]) == (400, "bad_request")
    assert problem["detail"] == "the header Idempotency-Key must be 1 to 255 visible ASCII characters"
    assert "Idempotency-Key" not in headers
    assert predictions.endpoint.requests == []


def test_asking_twice_answers_twice_the_same(predictions: Any) -> None:
    first, second = (predictions.ask({"image_url": URL, "expected_count": 3})[1] for _ in range(2))
    assert first.pop("timings")
    assert second.pop("timings")
    assert first == second


def test_http_is_refused_unless_it_is_allowed(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_HTTP", "false")
    status, problem, _ = predictions.ask({"image_url": URL})
    assert (status, problem["code"]) == (400, "bad_url")


@pytest.mark.parametrize(
    ("answer", "status", "code", "retry_after"),
    [
        (fakes.refusal("InvokeEndpoint", "ValidationError", "Endpoint of account 1 not found"), 503, "no_model", "60"),
        (fakes.refusal("InvokeEndpoint", "AccessDeniedException", "role x may not", 403), 502, "model_failed", None),
        (b"{}", 502, "model_failed", None),
        (RuntimeError("a bug with a secret"), 500, "internal_error", None),
    ],
)
def test_what_goes_wrong_behind_is_a_problem_of_its_own(
    predictions: Any, answer: Any, status: int, code: str, retry_after: str | None
) -> None:
    predictions.endpoint.answer = answer
    found, problem, headers = predictions.ask({"image_url": URL})
    assert (found, problem["code"], headers.get("Retry-After")) == (status, code, retry_after)
    _, batch, _ = predictions.ask({"images": [{"image_url": URL}] * 2})
    assert [result["problem"]["code"] for result in batch["results"]] == [code] * 2
    for inner in ("role x", "account 1", "secret"):
        assert inner not in json.dumps([problem, batch])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENDPOINT_NAME", "", "ENDPOINT_NAME is not set"),
        ("PASS_PROBABILITY", "0.5", "PASS_PROBABILITY is 0.5"),
        ("FAIL_PROBABILITY", "0.2", "FAIL_PROBABILITY is 0.2"),
        ("PASS_PROBABILITY", "high", "could not convert string to float: 'high'"),
        ("S3_SOURCES", "raw", "S3_SOURCES has 'raw'"),
    ],
)
def test_wrong_settings_are_our_fault_and_named_in_the_log(
    predictions: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    status, problem, _ = predictions.ask({"image_url": URL})
    assert (status, problem["code"]) == (500, "internal_error")
    assert name not in json.dumps(problem)
    assert said in capsys.readouterr().out
