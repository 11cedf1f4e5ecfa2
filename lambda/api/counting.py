"""Has the endpoint count the objects in a photo."""

import json
import re
from typing import Any

from bodies import read_up_to
from deadline import Deadline, in_time
from problems import ProblemError
from retries import PassingError, with_retries

COUNTS = ("1", "2", "3", "4", "5")
_MAX_ANSWER = 64 * 1024  # bytes; a real one has some hundred
_FILE = re.compile(r"[0-9a-f]{12}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}/[1-9][0-9]{0,8}")
_PIXELS = re.compile(r"the photo has (\d{1,9} x \d{1,9}), the limit is (\d{1,12}) pixels")
_NO_ENDPOINT = ("ValidationError", "ValidationException")  # the request was checked before: what is not valid is that
_OVERLOADED = ("ThrottlingException", "Throttling", "ServiceUnavailable", "InternalDependencyException")
# What the model's server calls a photo's faults, and where SageMaker lost its words, the status alone.
_FAULTS = {
    "empty": "not_an_image",
    "unsupported_format": "not_an_image",
    "unsupported_content_type": "not_an_image",
    "too_large": "too_large",
    "too_many_pixels": "too_many_pixels",
    "undecodable": "undecodable",
}
_FAULTS_BY_STATUS = {413: "too_large", 415: "not_an_image", 422: "undecodable"}
_DETAILS = {
    "not_an_image": "the bytes are no JPEG, PNG or WebP image",
    "too_large": "the photo has more bytes than the model takes; send it smaller",
    "too_many_pixels": "the photo has more pixels than are decoded; send it smaller",
    "undecodable": "the photo is damaged and cannot be decoded",
}


def media_type(photo: bytes) -> str:
    """The photo's type by its first bytes; ProblemError not_an_image for anything but JPEG, PNG and WebP."""
    if photo.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return "image/webp"
    raise ProblemError("not_an_image", _DETAILS["not_an_image"])


def count_objects(runtime: Any, endpoint: str, photo: bytes, deadline: Deadline) -> dict[str, Any]:
    """{"count", "confidence", "probabilities", "model", "package"} of a photo; package is "GROUP/VERSION" or None.

    Where the model is busy it is asked again while time remains. ProblemError: not_an_image, too_large,
    too_many_pixels, undecodable for the photo; no_model, busy (both with retry_after), model_failed and timeout.
    """
    request = {
        "EndpointName": endpoint,
        "ContentType": media_type(photo),
        "Accept": "application/json",
        "Body": photo,
    }
    try:
        return in_time(lambda: with_retries(lambda: _ask(runtime, request), deadline), deadline)
    except TimeoutError as error:
        raise _timeout() from error


def _ask(runtime: Any, request: dict[str, Any]) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

    try:
        return _read_answer(read_up_to(runtime.invoke_endpoint(**request)["Body"], _MAX_ANSWER))
    except ClientError as error:
        raise _problem(error.response) from error
    except ReadTimeoutError as error:
        raise _timeout() from error
    except BotoCoreError as error:  # a connection kept from an earlier request may be closed by now
        raise PassingError(ProblemError("model_failed", "the model could not be reached")) from error
    except (ValueError, RecursionError) as error:
        raise ProblemError("model_failed", "the model's answer cannot be read") from error


def _read_answer(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError(f"the answer is {body[:100]!r}, not an object")
    probabilities = answer.get("probabilities")
    if not isinstance(probabilities, dict) or set(probabilities) != set(COUNTS):
        raise ValueError(f"probabilities are {str(probabilities)[:100]!r}, not one for each of {COUNTS}")
    numbers = {count: _probability(probabilities[count]) for count in COUNTS}
    if abs(sum(numbers.values()) - 1) > 1e-3:
        raise ValueError(f"probabilities {numbers} do not add up to 1")
    count, confidence = answer.get("count"), _probability(answer.get("confidence"))
    if type(count) is not int or str(count) not in numbers:
        raise ValueError(f"count is {count!r:.100}")
    if numbers[str(count)] != confidence or confidence < max(numbers.values()):
        raise ValueError(f"count {count} with confidence {confidence} is not the most probable of {numbers}")
    model, package = answer.get("model"), answer.get("package")
    if not isinstance(model, str) or not _FILE.fullmatch(model):
        raise ValueError(f"model is {model!r:.100}")
    if package is not None and not (isinstance(package, str) and _PACKAGE.fullmatch(package)):
        raise ValueError(f"package is {package!r:.100}")
    return {"count": count, "confidence": confidence, "probabilities": numbers, "model": model, "package": package}


def _probability(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r:.100} is no probability")
    return float(value)


def _problem(response: dict[str, Any]) -> Exception:
    code = response.get("Error", {}).get("Code")
    if code == "ModelError":
        return _model_error(int(response.get("OriginalStatusCode", 500)), str(response.get("OriginalMessage", "")))
    if code in _NO_ENDPOINT:
        return ProblemError("no_model", "no model is in service yet", retry_after=60)
    if code == "ModelNotReadyException":
        detail = "the model is being put into service"
        return PassingError(ProblemError("no_model", detail, retry_after=10))
    if code in _OVERLOADED:
        return _busy()
    if code == "InternalFailure":
        return PassingError(ProblemError("model_failed", "the model could not be asked"))
    return ProblemError("model_failed", "the model could not be asked")


def _model_error(status: int, message: str) -> Exception:
    try:
        said = json.loads(message)
        fault, sentence = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        fault, sentence = "", ""
    code = _FAULTS.get(fault) or _FAULTS_BY_STATUS.get(status)
    if code:
        pixels = _PIXELS.match(sentence) if code == "too_many_pixels" else None
        detail = f"the photo has {pixels[1]} pixels, at most {pixels[2]} are decoded; send it smaller" if pixels else ""
        return ProblemError(code, detail or _DETAILS[code])
    if status == 503:
        return _busy()
    return ProblemError("model_failed", "the model failed on this photo")


def _busy() -> PassingError:
    return PassingError(ProblemError("busy", "the model is overloaded; try again", retry_after=1))


def _timeout() -> ProblemError:
    return ProblemError("timeout", "the model did not answer in time; try again")
