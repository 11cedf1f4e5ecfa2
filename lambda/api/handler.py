"""POST /predictions: a photo by URL or from S3 to the number of objects in it. API Gateway calls it (proxy event).

In:  {"image_url": "https://..."} or {"s3_uri": "s3://bucket/key"}
Out: 200 {"count": 3, "confidence": 0.93, "probabilities": {"1": ...}, "model": "0f3a...", "request_id": "..."}
     or application/problem+json {"type", "title", "status", "code", "detail", "request_id"}

Logs name hosts and buckets, never whole URLs: their queries often carry signatures.

IAM: sagemaker:InvokeEndpoint on endpoint/NAME; s3:GetObject on BUCKET/* and s3:ListBucket on BUCKET of the allowed
buckets (without the latter S3 answers 403 for a missing object); kms:Decrypt on their key. Environment: ENDPOINT_NAME,
BUCKETS (comma-separated), ALLOW_HTTP ("true" or "false").
"""

import base64
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from counting import count_objects
from fetch import Fetcher
from problems import ProblemError, render, respond
from storage import read_photo

SOURCES = ("image_url", "s3_uri")
_FETCH_SECONDS = 10.0  # with the next two, below the 29 s after which API Gateway hangs up
_STORAGE_SECONDS = 6
_MODEL_SECONDS = 15


@dataclass(frozen=True)
class Source:
    """Where a photo is: `kind` is one of SOURCES."""

    kind: str
    address: str

    @property
    def place(self) -> str:
        """Host or bucket, which is as much as logs may tell."""
        try:
            return urlsplit(self.address).hostname or ""
        except ValueError:
            return ""


def handler(event: Mapping[str, Any], context: object = None) -> dict[str, Any]:
    """Answer one request; nothing is raised."""
    began = time.perf_counter()
    request_id = _request_id(event, context)
    line: dict[str, Any] = {"event": "prediction", "request_id": request_id}
    try:
        source = read_body(event)
        line |= {"source": source.kind, "place": source.place}
        answer = count_objects(_client("sagemaker-runtime", _MODEL_SECONDS), _variable("ENDPOINT_NAME"), _photo(source))
        line |= {"status": 200, "count": answer["count"], "model": answer["model"]}
        response = respond(200, {**answer, "request_id": request_id})
    except ProblemError as problem:
        line |= {"status": problem.status, "code": problem.code, "cause": repr(problem.__cause__)[:300]}
        response = render(problem, request_id)
    except Exception as error:
        line |= {"status": 500, "code": "internal_error", "cause": f"{type(error).__name__}: {error}"[:300]}
        detail = "the request could not be answered; the log has the reason under the request id"
        response = render(ProblemError(500, "internal_error", detail), request_id)
    print(json.dumps({**line, "ms": round(1000 * (time.perf_counter() - began))}))
    return response


def read_body(event: Mapping[str, Any]) -> Source:
    """Read the request's body; ProblemError 400 says what it must be."""
    text = event.get("body") or ""
    try:
        if event.get("isBase64Encoded"):
            text = base64.b64decode(text, validate=True).decode()
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad_body("it is not JSON") from None
    if not isinstance(body, dict):
        raise _bad_body("it is not an object")
    given = [key for key in body if key in SOURCES]
    unknown = sorted(set(body) - set(SOURCES))
    if unknown:
        raise _bad_body(f"it has the unknown key {unknown[0][:50]!r}")
    if len(given) != 1:
        raise _bad_body("it has both" if given else "it has neither")
    address = body[given[0]]
    if not isinstance(address, str) or not address:
        raise _bad_body(f"{given[0]} is not a text")
    return Source(given[0], address)


def _photo(source: Source) -> bytes:
    if source.kind == "s3_uri":
        buckets = {name.strip() for name in os.environ.get("BUCKETS", "").split(",")} - {""}
        return read_photo(_client("s3", _STORAGE_SECONDS), source.address, buckets)
    allow_http = os.environ.get("ALLOW_HTTP") == "true"
    return Fetcher(allow_http=allow_http, seconds=_FETCH_SECONDS).fetch(source.address)


def _bad_body(what: str) -> ProblemError:
    return ProblemError(400, "bad_request", f'the body must be {{"image_url": ...}} or {{"s3_uri": ...}}: {what}')


def _request_id(event: Mapping[str, Any], context: object) -> str:
    given = (event.get("requestContext") or {}).get("requestId")
    return str(given or getattr(context, "aws_request_id", ""))


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ValueError(f"the environment variable {name} is not set; deploy the api stack again")
    return value


@cache
def _client(service: str, seconds: int) -> Any:
    import boto3  # here, so that loading this file costs nothing where the client is never needed
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=seconds, retries={"mode": "standard", "total_max_attempts": 1})
    return boto3.client(service, config=config)
