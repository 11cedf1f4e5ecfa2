"""Has the endpoint count the objects in a photo."""

import json
from typing import Any

from problems import ProblemError

_BUSY = ("ThrottlingException", "ServiceUnavailable", "ModelNotReadyException", "InternalDependencyException")


def media_type(photo: bytes) -> str:
    """The photo's type by its first bytes; ProblemError 415 for anything but JPEG, PNG and WebP."""
    if photo.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if photo.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if photo[:4] == b"RIFF" and photo[8:12] == b"WEBP":
        return "image/webp"
    raise ProblemError(415, "not_an_image", "the bytes are no JPEG, PNG or WebP image")


def count_objects(runtime: Any, endpoint: str, photo: bytes) -> dict[str, Any]:
    """{"count", "confidence", "probabilities", "model"} of a photo.

    ProblemError: what the model's server says of the photo (413, 415, 422), 502 when it fails, 503 while no model is
    in service or all are busy, 504 when the answer takes too long.
    """
    from botocore.exceptions import ClientError, HTTPClientError

    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType=media_type(photo), Accept="application/json", Body=photo
        )
        body = json.loads(answer["Body"].read())
        return {key: body[key] for key in ("count", "confidence", "probabilities", "model")}
    except ClientError as error:
        raise _problem(error.response) from error
    except HTTPClientError as error:
        raise ProblemError(504, "model_timeout", "the model did not answer in time", retry_after=1) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ProblemError(502, "model_failed", "the model's answer cannot be read") from error


def _problem(response: dict[str, Any]) -> ProblemError:
    code = response["Error"]["Code"]
    if code == "ModelError":
        return _model_error(int(response.get("OriginalStatusCode", 500)), str(response.get("OriginalMessage", "")))
    if code in ("ValidationError", "ValidationException"):
        # The request was checked before, so what is not valid is the endpoint: there is none.
        return ProblemError(503, "no_model", "no model is in service yet; release one first", retry_after=60)
    if code in _BUSY:
        return ProblemError(503, "busy", "the model is busy; try again", retry_after=1)
    return ProblemError(502, "model_failed", f"the model could not be asked ({code})")


def _model_error(status: int, message: str) -> ProblemError:
    try:
        said = json.loads(message)
        code, detail = str(said["code"]), str(said["message"])
    except (ValueError, KeyError, TypeError):
        code, detail = "model_failed", "the model failed on this photo"
    if status == 503:
        return ProblemError(503, "busy", "the model is busy; try again", retry_after=1)
    if status in (400, 413, 415, 422):
        return ProblemError(status, code, detail)
    return ProblemError(502, "model_failed", "the model failed on this photo")
