"""The endpoint as SageMaker's runtime shows it: answers, refusals, overload, silence."""

import json
import re
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tally.predictor
import tally.server
from tally.predictor import BadPhoto, Limits, decode
from tests.model_code.test_predictor import png_header_only

fakes: Any = import_module("tests.lambda.fakes")
services: Any = import_module("tests.lambda.services")
Reply = services.Reply

JPEG = b"\xff\xd8\xff\xe0" + b"photo" * 100
ANSWER = {
    "count": 3,
    "confidence": 0.93,
    "probabilities": {"1": 0.01, "2": 0.02, "3": 0.93, "4": 0.02, "5": 0.02},
    "model": "0f3a5c7e9b1d",
    "package": "tally-dev/7",
}


@pytest.fixture
def counting(load: Any) -> ModuleType:
    (module,) = load("api", "counting")
    return module


class Runtime:
    """Does each of `answers` in turn, the last one for ever; `requests` is what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> Any:
        self.requests.append(request)
        runtime = fakes.Runtime()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        runtime.answer = json.dumps(answer).encode() if isinstance(answer, dict) else answer
        return runtime.invoke_endpoint(**request)


def count(counting: ModuleType, runtime: Any, photo: bytes = JPEG, seconds: float = 20.0) -> Any:
    return counting.count_objects(runtime, "tally-dev", photo, counting.Deadline(seconds))


def problem(counting: ModuleType, runtime: Any, **more: Any) -> Any:
    with pytest.raises(counting.ProblemError) as caught:
        count(counting, runtime, **more)
    return caught.value


def refusal(code: str, status: int = 400, **fields: Any) -> Exception:
    message = "Endpoint tally-dev of account 123456789012: role arn:aws:iam::1:role/x"
    error: Exception = fakes.refusal("InvokeEndpoint", code, message, status, **fields)
    return error


def model_error(status: int, text: str = "", **said: str) -> Exception:
    return refusal("ModelError", 424, OriginalStatusCode=status, OriginalMessage=text or json.dumps(said))


BUSY = model_error(503, code="busy", message="64 photos are waiting already: try again later")


def test_a_photo_is_counted_by_the_endpoint(counting: ModuleType) -> None:
    runtime = Runtime(ANSWER)
    assert count(counting, runtime) == ANSWER
    assert runtime.requests == [
        {"EndpointName": "tally-dev", "ContentType": "image/jpeg", "Accept": "application/json", "Body": JPEG}
    ]


def test_a_model_that_came_from_no_package_says_so(counting: ModuleType) -> None:
    assert count(counting, Runtime({**ANSWER, "package": None}))["package"] is None
    without = {key: value for key, value in ANSWER.items() if key != "package"}
    assert count(counting, Runtime(without))["package"] is None


def test_what_a_newer_server_adds_is_left_out(counting: ModuleType) -> None:
    assert count(counting, Runtime({**ANSWER, "host": "10.0.0.1"})) == ANSWER


@pytest.mark.parametrize(
    ("photo", "media_type"),
    [
        (JPEG, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_the_type_is_told_by_the_bytes(counting: ModuleType, photo: bytes, media_type: str) -> None:
    runtime = Runtime(ANSWER)
    count(counting, runtime, photo=photo)
    assert runtime.requests[0]["ContentType"] == media_type


@pytest.mark.parametrize(
    "photo",
    [
        b"",
        b"\xff\xd8",
        b"GIF89a....",
        b"BM....",
        b"%PDF-1.7",
        b"<svg/>",
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\0\0\0\0",
        b"\x89PNG",
    ],
)
def test_what_is_no_photo_is_not_sent_to_the_model(counting: ModuleType, photo: bytes) -> None:
    runtime = Runtime(ANSWER)
    found = problem(counting, runtime, photo=photo)
    assert (found.code, found.status) == ("not_an_image", 415)
    assert runtime.requests == []


@pytest.mark.parametrize(
    ("refused", "code", "status", "retry_after", "asked"),
    [
        (refusal("ValidationError"), "no_model", 503, 60, 1),
        (refusal("ValidationException"), "no_model", 503, 60, 1),
        (refusal("ModelNotReadyException", 429), "no_model", 503, 10, 4),
        (refusal("ThrottlingException"), "busy", 503, 1, 4),
        (refusal("ServiceUnavailable", 503), "busy", 503, 1, 4),
        (refusal("InternalDependencyException", 530), "busy", 503, 1, 4),
        (refusal("InternalFailure", 500), "model_failed", 502, None, 4),
        (refusal("AccessDeniedException"), "model_failed", 502, None, 1),
        (BUSY, "busy", 503, 1, 4),
        (model_error(503, "upstream connect error"), "busy", 503, 1, 4),
        (model_error(500, code="internal_error", message="secret"), "model_failed", 502, None, 1),
        (model_error(0, "Your invocation timed out"), "model_failed", 502, None, 1),
        (model_error(404, code="not_found", message="Not Found"), "model_failed", 502, None, 1),
        (model_error(408, code="slow_body", message="secret"), "model_failed", 502, None, 1),
        (model_error(500, "[" * 100_000), "model_failed", 502, None, 1),
        (model_error(400, code="empty", message="secret"), "not_an_image", 415, None, 1),
        (model_error(415, code="unsupported_format", message="secret"), "not_an_image", 415, None, 1),
        (model_error(415, "[1]"), "not_an_image", 415, None, 1),
        (model_error(413, code="too_large", message="secret"), "too_large", 413, None, 1),
        (model_error(413, "<html>secret</html>"), "too_large", 413, None, 1),
        (model_error(422, code="undecodable", message="secret"), "undecodable", 422, None, 1),
        (model_error(422, code="too_many_pixels", message="secret"), "too_many_pixels", 422, None, 1),
        (model_error(422, '{"code": "undec'), "undecodable", 422, None, 1),
    ],
)  # fmt: skip
def test_what_goes_wrong_behind_is_a_problem_in_words_of_our_own(
    counting: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    refused: Exception,
    code: str,
    status: int,
    retry_after: int | None,
    asked: int,
) -> None:
    monkeypatch.setattr(import_module("retries"), "_FIRST_PAUSE", 0.001)
    runtime = Runtime(refused)
    found = problem(counting, runtime)
    assert (found.code, found.status, found.retry_after) == (code, status, retry_after)
    assert len(runtime.requests) == asked
    assert found.__cause__ is refused  # for the log
    for inner in ("secret", "arn:", "role", "account", "tally-dev", "html", "waiting"):
        assert inner not in found.detail


def test_of_too_many_pixels_the_numbers_are_told(counting: ModuleType) -> None:
    with pytest.raises(BadPhoto) as caught:
        decode(png_header_only(10_000, 8_000), 32, Limits())
    found = problem(counting, Runtime(model_error(422, code=caught.value.code, message=str(caught.value))))
    assert found.detail == "the photo has 10000 x 8000 pixels, at most 50000000 are decoded; send it smaller"


def test_every_code_of_the_models_server_for_a_photo_is_known(counting: ModuleType) -> None:
    text = "".join(Path(module.__file__).read_text() for module in (tally.predictor, tally.server))
    codes = set(re.findall(r'BadPhoto\(\s*"([a-z_]+)"', text))
    assert len(codes) >= 6
    assert codes - {"slow_body"} == set(counting._FAULTS)  # that one is SageMaker's fault, not the photo's


def test_a_busy_model_is_asked_again_until_it_answers(counting: ModuleType) -> None:
    runtime = Runtime(BUSY, refusal("ThrottlingException"), ANSWER)
    assert count(counting, runtime) == ANSWER
    assert len(runtime.requests) == 3


def test_a_busy_model_is_not_asked_again_when_there_is_no_time_for_an_answer(counting: ModuleType) -> None:
    runtime = Runtime(BUSY)
    found = problem(counting, runtime, seconds=0.4)
    assert (found.code, found.retry_after, len(runtime.requests)) == ("busy", 1, 1)


WRONG: list[Any] = [
    b"",
    b"not JSON",
    b"[]",
    b"null",
    b"{}",
    b"[" * 60_000,
    json.dumps(ANSWER).encode() + b" " * 70_000 + b"x",
    {**ANSWER, "count": "3"},
    {**ANSWER, "count": 3.0},
    {**ANSWER, "count": True},
    {**ANSWER, "count": 0},
    {**ANSWER, "count": 2},
    {**ANSWER, "count": 2, "confidence": 0.02},
    {**ANSWER, "confidence": 0.5},
    {**ANSWER, "confidence": None},
    {**ANSWER, "confidence": float("nan")},
    {**ANSWER, "probabilities": [0.2] * 5},
    {**ANSWER, "probabilities": {"1": 1.0}},
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "6": 0.0}},  # type: ignore[dict-item]
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "1": float("inf")}},  # type: ignore[dict-item]
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "1": -0.01, "2": 0.04}},  # type: ignore[dict-item]
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "1": 0.5}},  # type: ignore[dict-item]
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "1": 10**400}},  # type: ignore[dict-item]
    {**ANSWER, "probabilities": {**ANSWER["probabilities"], "1": "0.01"}},  # type: ignore[dict-item]
    {**ANSWER, "model": None},
    {**ANSWER, "model": "../../etc"},
    {**ANSWER, "model": "0F3A5C7E9B1D"},
    {**ANSWER, "package": ""},
    {**ANSWER, "package": "tally-dev"},
    {**ANSWER, "package": "tally-dev/0"},
    {**ANSWER, "package": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tally-dev/7"},
    {**ANSWER, "package": 7},
]


@pytest.mark.parametrize("answer", WRONG, ids=range(len(WRONG)))
def test_an_answer_that_is_not_whole_is_a_failure_of_the_model(counting: ModuleType, answer: Any) -> None:
    found = problem(counting, Runtime(answer))
    assert (found.code, found.status) == ("model_failed", 502)
    assert found.detail == "the model's answer cannot be read"
    assert found.__cause__ is not None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # the module keeps nothing
@given(row=st.lists(st.floats(0, 1), min_size=5, max_size=5).filter(lambda row: sum(row) > 0.1))
def test_any_probabilities_that_add_up_to_one_are_taken(counting: ModuleType, row: list[float]) -> None:
    numbers = {str(count): value / sum(row) for count, value in enumerate(row, 1)}
    best = max(numbers, key=lambda key: numbers[key])
    answer = {**ANSWER, "count": int(best), "confidence": numbers[best], "probabilities": numbers}
    assert counting._read_answer(json.dumps(answer).encode()) == answer


def test_a_model_that_takes_too_long_is_left_at_the_deadline(counting: ModuleType, aws: str) -> None:
    with services.service(Reply(body=json.dumps(ANSWER).encode(), after=6)) as server:
        began = time.monotonic()
        found = problem(counting, server.client("sagemaker-runtime"), seconds=0.3)
        assert time.monotonic() - began < 5
    assert (found.code, found.status) == ("timeout", 504)


def test_a_client_whose_own_limit_comes_first_is_a_timeout_as_well(counting: ModuleType, aws: str) -> None:
    with services.service(Reply(body=json.dumps(ANSWER).encode(), after=6)) as server:
        found = problem(counting, server.client("sagemaker-runtime", read_timeout=0.3))
        assert (found.code, len(server.requests)) == ("timeout", 1)  # counting takes as long the next time


def test_a_connection_that_breaks_is_made_anew(counting: ModuleType, aws: str) -> None:
    body = json.dumps(ANSWER).encode()
    with services.service(Reply(body=body, cut=True), Reply(body=body)) as server:
        assert count(counting, server.client("sagemaker-runtime")) == ANSWER
        assert (len(server.requests), server.connections) == (2, 2)
        assert server.bodies == [JPEG, JPEG]


def test_a_runtime_that_cannot_be_reached_is_a_failure(counting: ModuleType, aws: str) -> None:
    with services.service(Reply()) as server:
        client = server.client("sagemaker-runtime")
    found = problem(counting, client)
    assert (found.code, found.detail) == ("model_failed", "the model could not be reached")


def test_one_connection_serves_many_photos(counting: ModuleType, aws: str) -> None:
    with services.service(Reply(body=json.dumps(ANSWER).encode())) as server:
        client = server.client("sagemaker-runtime")
        for _ in range(5):
            assert count(counting, client) == ANSWER
        assert (len(server.requests), server.connections) == (5, 1)
