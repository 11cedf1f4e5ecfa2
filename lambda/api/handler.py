"""POST /predictions: photos to the number of objects in each. API Gateway calls it (proxy event of a REST API).

In and out: openapi.json, in this folder, against which requests are checked.

Environment: ENDPOINT_NAME; S3_SOURCES (BUCKET/PREFIX,...: where photos may be read from); ALLOW_HTTP ("true" or
"false"); PASS_PROBABILITY, FAIL_PROBABILITY; ENVIRONMENT (dimension of the metrics).
IAM: sagemaker:InvokeEndpoint on endpoint/NAME; s3:GetObject and s3:GetObjectVersion on S3_SOURCES; kms:Decrypt on their
key. No s3:ListBucket.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aws_clients import client
from counting import count_objects, media_type
from deadline import Deadline
from decisions import verify
from fetch import Fetcher
from incoming import Photo, Request, idempotency_key, read_request, request_id
from problems import ProblemError, render, respond
from record import Outcome, Record, internal
from settings import Settings
from storage import read_photo
from urls import read_url

TOTAL_SECONDS = 26.0  # API Gateway hangs up after 29 s, and Lambda ends the function after 28
FETCH_SECONDS = 10.0
_RENDER_SECONDS = 1.0
_GRACE_SECONDS = 0.3  # of that second, for photos whose time is up to say for themselves what it went on
_THREADS = 8  # photos of a batch that are worked on at once, each with up to 6 MiB in memory
_BUCKET = re.compile(r"s3://([a-z0-9.-]{3,63})/")


def handler(event: Any, context: object = None) -> dict[str, Any]:
    """Answer one request, whatever it is; nothing is raised."""
    event = event if isinstance(event, Mapping) else {}
    record = Record(request_id(event, context))
    headers: dict[str, str] = {}
    try:
        if key := idempotency_key(event):
            headers = {"Idempotency-Key": key}
        request = read_request(event)
        _work(request, Settings.read(), Deadline(_seconds(context)), record)
        response = _response(request, record, headers)
    except ProblemError as problem:
        record.problem = problem
        response = render(problem, record.request_id, headers)
    except Exception as error:
        record.problem = internal(error)
        response = render(record.problem, record.request_id, headers)
    for line in record.lines(response["statusCode"]):
        print(json.dumps(line))
    return response


def _seconds(context: object) -> float:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return min(TOTAL_SECONDS, remaining() / 1000 - _RENDER_SECONDS) if remaining else TOTAL_SECONDS


def _work(request: Request, settings: Settings, deadline: Deadline, record: Record) -> None:
    """Fill `record.outcomes`, one for each photo in the order of the request."""
    if len(request.photos) == 1:
        record.outcomes = [_outcome(request.photos[0], settings, deadline, record)]
    else:
        record.outcomes = _in_parallel(request.photos, settings, deadline, record)


def _in_parallel(photos: Sequence[Photo], settings: Settings, deadline: Deadline, record: Record) -> list[Outcome]:
    from concurrent.futures import ThreadPoolExecutor, wait  # here, because most requests are for one photo

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="photo")
    try:
        futures = [pool.submit(_outcome, photo, settings, deadline, record) for photo in photos]
        done, _ = wait(futures, timeout=deadline.left() + _GRACE_SECONDS)
        return [
            future.result() if future in done else Outcome(photo.kind, _place(photo), problem=_timeout())
            for photo, future in zip(photos, futures, strict=True)
        ]
    except TimeoutError:  # there was no time to begin with
        return [Outcome(photo.kind, _place(photo), problem=_timeout()) for photo in photos]
    finally:
        # Every step ends with the deadline by itself. One that did not must not hold up the others' answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome(photo: Photo, settings: Settings, deadline: Deadline, record: Record) -> Outcome:
    """Get one photo and have it counted; nothing is raised."""
    outcome = Outcome(photo.kind, _place(photo))
    try:
        deadline.left()
        with outcome.timed("fetch_ms"):
            content = _content(photo, settings, deadline.sooner(FETCH_SECONDS))
        outcome.size = len(content)
        media_type(content)  # what is no photo takes none of the model's time, in our metrics neither
        with outcome.timed("model_ms"):
            counted = count_objects(client("sagemaker-runtime"), settings.endpoint, content, deadline)
        outcome.answer = _prediction(photo, counted, settings, outcome, record)
    except ProblemError as problem:
        outcome.problem = problem
    except TimeoutError:
        outcome.problem = _timeout()
    except Exception as error:
        outcome.problem = internal(error)
    return outcome


def _content(photo: Photo, settings: Settings, deadline: Deadline) -> bytes:
    if photo.kind == "url":
        return Fetcher(allow_http=settings.allow_http).fetch(photo.address, deadline)
    if photo.kind == "s3":
        return read_photo(client("s3"), photo.address, photo.version_id, settings.sources, deadline)
    return photo.content


def _place(photo: Photo) -> str:
    """Host or bucket, which is as much of an address as logs may tell; nothing where it is not surely that."""
    if photo.kind == "url":
        try:
            return read_url(photo.address, allow_http=True).host
        except ProblemError:
            return ""
    match = _BUCKET.match(photo.address)
    return match[1] if match else ""


def _prediction(
    photo: Photo, counted: Mapping[str, Any], settings: Settings, outcome: Outcome, record: Record
) -> dict[str, Any]:
    package, _, version = (counted["package"] or "").partition("/")
    expected = photo.expected_count
    return {
        **{member: counted[member] for member in ("count", "confidence", "probabilities")},
        **({} if expected is None else verify(expected, counted, settings.thresholds)),
        "model": {"package": package or None, "version": int(version) if version else None, "file": counted["model"]},
        "request_id": record.request_id,
        "timings": {
            "fetch_ms": outcome.fetch_ms,
            "model_ms": outcome.model_ms,
            "total_ms": record.milliseconds(),
        },
    }


def _response(request: Request, record: Record, headers: Mapping[str, str]) -> dict[str, Any]:
    outcome = record.outcomes[0]
    if request.batch:
        return respond(200, _batch(record), headers)
    if outcome.problem:
        return render(outcome.problem, record.request_id, headers)
    return respond(200, outcome.answer or {}, headers)


def _batch(record: Record) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for index, outcome in enumerate(record.outcomes):
        if outcome.problem:
            failed = {"status": outcome.problem.status, "problem": outcome.problem.body(record.request_id)}
            results.append({"index": index, **failed})
        else:
            results.append({"index": index, "status": 200, "prediction": outcome.answer})
    failures = sum(outcome.problem is not None for outcome in record.outcomes)
    return {
        "results": results,
        "succeeded": len(results) - failures,
        "failed": failures,
        "request_id": record.request_id,
        "timings": {"total_ms": record.milliseconds()},
    }


def _timeout() -> ProblemError:
    return ProblemError("timeout", "the photo was not counted in the time that a request has; send fewer at once")
