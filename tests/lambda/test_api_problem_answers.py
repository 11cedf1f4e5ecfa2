"""Each problem of the document that the functions answer with, brought about from outside."""

import json
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

answers: Any = import_module("tests.lambda.answers")
fakes: Any = import_module("tests.lambda.fakes")
remotes: Any = import_module("tests.lambda.remotes")
tests: Any = import_module("tests.lambda.predictions")

OURS = {code for code, problem in answers.PROBLEMS.items() if "function" in problem["by"]}
URL, URI = tests.URL, tests.URI
SITE = "http://site.example.com/1.jpg"
Scenario = Callable[[Any, pytest.MonkeyPatch], tuple[int, Any, dict[str, str]]]


def body(content: Any, media_type: str = "application/json") -> Scenario:
    return lambda predictions, _: predictions.ask(content, media_type)


def site(script: Any) -> Scenario:
    def ask(predictions: Any, _: pytest.MonkeyPatch) -> Any:
        predictions.internet.site("site.example.com", script)
        return predictions.ask({"image_url": SITE})

    return ask


def model(answer: Any) -> Scenario:
    def ask(predictions: Any, _: pytest.MonkeyPatch) -> Any:
        predictions.endpoint.answer = answer
        return predictions.ask({"image_url": URL})

    return ask


def refuses(code: str, status: int = 400, **fields: Any) -> Scenario:
    return model(fakes.refusal("InvokeEndpoint", code, "words of AWS", status, **fields))


def finds(status: int, code: str) -> Scenario:
    message = json.dumps({"code": code, "message": "the photo has 9000 x 9000, the limit is 50000000 pixels"})
    return refuses("ModelError", 424, OriginalStatusCode=status, OriginalMessage=message)


def storage(**operations: Any) -> Scenario:
    """S3 answers so: an error is raised."""

    def answer(said: Any) -> Callable[..., Any]:
        def operation(**_: Any) -> Any:
            if isinstance(said, Exception):
                raise said
            return said

        return operation

    def ask(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        s3 = SimpleNamespace(**{name: answer(said) for name, said in operations.items()})
        monkeypatch.setattr(predictions.handler, "client", lambda _: s3)
        return predictions.ask({"s3_uri": URI})

    return ask


def too_slow(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(predictions.handler, "FETCH_SECONDS", 0.1)
    return site(remotes.drips(b"HTTP/1.1 200 OK\r\n", b"x", 0.05))(predictions, monkeypatch)


def too_late(predictions: Any, _: pytest.MonkeyPatch) -> Any:
    return predictions.ask({"image_url": URL}, context=SimpleNamespace(get_remaining_time_in_millis=lambda: 500))


def nowhere(predictions: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    about = import_module("about")  # from the folder that `predictions` put on the path
    return answers.check(about.handler({"resource": "/elsewhere", "httpMethod": "GET"}), "/predictions")


FOUND = {"ContentLength": 9, "ETag": '"a"'}
DENIED = fakes.refusal("GetObject", "AccessDenied", "words of AWS", 403)
SCENARIOS: dict[str, Scenario] = {
    "bad_request": body("{"),
    "bad_url": body({"image_url": "ftp://a.example/1.jpg"}),
    "bad_uri": body({"s3_uri": "raw/photos/1.jpg"}),
    "address_not_public": body({"image_url": "https://169.254.169.254/"}),
    "location_not_allowed": body({"s3_uri": "s3://private/1.jpg"}),
    "object_not_readable": storage(head_object=FOUND, get_object=DENIED),
    "not_found": nowhere,
    "object_not_found": body({"s3_uri": URI}),
    "url_not_found": site(remotes.sends(remotes.answer(b"", "404 Not Found"))),
    "too_large": body(bytes(4 * 1024 * 1024 + 1), "image/jpeg"),
    "not_an_image": body(b"GIF89a", "image/jpeg"),
    "unsupported_media_type": body(b"GIF89a", "image/gif"),
    "undecodable": finds(422, "undecodable"),
    "too_many_pixels": finds(422, "too_many_pixels"),
    "host_not_found": body({"image_url": "https://nowhere.example.com/"}),
    "remote_status": site(remotes.sends(remotes.answer(b"", "500 Internal Server Error"))),
    "bad_redirect": site(remotes.redirects("file:///etc/passwd")),
    "fetch_failed": site(remotes.sends(b"SSH-2.0-OpenSSH_9.9\r\n")),
    "fetch_timeout": too_slow,
    "storage_failed": storage(head_object=fakes.refusal("HeadObject", "SlowDown", "words of AWS", 503)),
    "internal_error": model(RuntimeError("words of ours")),
    "model_failed": model(b"{}"),
    "no_model": refuses("ValidationError"),
    "busy": refuses("ThrottlingException"),
    "timeout": too_late,
}


def test_there_is_a_way_to_every_problem() -> None:
    assert set(SCENARIOS) == OURS


@pytest.mark.parametrize("code", SCENARIOS)
def test_a_problem_comes_with_its_status_and_in_words_of_ours(
    predictions: Any, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    if code == "object_not_found":
        predictions.put("photos/another.jpg")
    status, problem, _ = SCENARIOS[code](predictions, monkeypatch)
    assert (status, problem["code"]) == (answers.PROBLEMS[code]["status"], code)
    assert not any(words in json.dumps(problem) for words in ("words of", "Traceback", "arn:", "etc/passwd"))
