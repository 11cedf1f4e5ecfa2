"""Reads API Gateway's proxy event (REST API, format 1.0) into a request of this API.

What a caller may send is said by openapi.json and checked here against it. Whatever API Gateway checked before, nothing
is taken for granted: it checks less, and only some content types.
"""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import schema
from document import document
from problems import ProblemError

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a photo as the body: as base64 with the rest of the event it must stay below the 6 MB that Lambda takes."""
MAX_JSON = 512 * 1024
"""Bytes of JSON: more than 16 photos take, were every character of their addresses escaped."""

_JSON = "application/json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


@dataclass(frozen=True)
class Photo:
    """One photo of a request. `kind` is url, s3 or body; `address` is a URL or an S3 URI, `content` the body."""

    kind: str
    address: str = ""
    version_id: str | None = None
    expected_count: int | None = None
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Request:
    """Photos to count; a `batch` is answered with a list, even a batch of one."""

    photos: tuple[Photo, ...]
    batch: bool = False


def request_id(event: Mapping[str, Any], context: object) -> str:
    """Names the request in logs: API Gateway's id, which the caller sees as x-amzn-RequestId as well.

    A caller may set that one, so what does not look like an id is not taken; then it is Lambda's.
    """
    given = _mapping(event.get("requestContext")).get("requestId")
    for candidate in (given, getattr(context, "aws_request_id", None)):
        if isinstance(candidate, str) and _REQUEST_ID.fullmatch(candidate):
            return candidate
    return str(uuid.uuid4())


def idempotency_key(event: Mapping[str, Any]) -> str | None:
    """The header Idempotency-Key; ProblemError bad_request where it is not as the document says."""
    key = _header(event, "Idempotency-Key")
    if key is not None and schema.fault(key, _parameter("Idempotency-Key"), document(), "Idempotency-Key"):
        raise _bad("the header Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


def read_request(event: Mapping[str, Any]) -> Request:
    """The request; ProblemError bad_request, too_large or unsupported_media_type says what to mend."""
    expected = _expected_count(event)
    # API Gateway, too, takes a body without a type for JSON.
    media_type = (_header(event, "Content-Type") or _JSON).partition(";")[0].strip().lower()
    media_types = document()["paths"]["/predictions"]["post"]["requestBody"]["content"]
    if media_type not in media_types:
        detail = f"the Content-Type must be one of {', '.join(media_types)}"
        raise ProblemError("unsupported_media_type", detail)
    if media_type != _JSON:
        content = _content(event, MAX_BODY, "send a larger photo by image_url or s3_uri")
        if not content:
            raise _bad("the body is empty; send the bytes of the photo")
        return Request((Photo("body", expected_count=expected, content=content),))
    if expected is not None:
        raise _bad("expected_count goes into the JSON of the body here, beside image_url or s3_uri")
    body = read_json(_content(event, MAX_JSON, "send less than that"))
    if wrong := schema.fault(body, media_types[_JSON]["schema"], document()):
        raise _bad(wrong)
    if "images" in body:
        return Request(tuple(_photo(image) for image in body["images"]), batch=True)
    return Request((_photo(body),))


def read_json(content: bytes) -> Any:
    """The value; ProblemError bad_request for what two programs might read in two ways, or what is not JSON."""
    try:
        value = json.loads(content.decode(), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half a character ("\ud800"), which is no text
    except json.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except UnicodeError:
        raise _bad("the body is not JSON: it is not UTF-8 all through, or has half a character") from None
    except RecursionError:
        raise _bad("the body is not JSON of this API: it is nested too deeply") from None
    except ValueError:
        raise _bad("the body is not JSON of this API: it has a number that is too long or none") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _bad("the body is not JSON of this API: an object has a member twice")
    return members


def _constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python takes and JSON does not have


def _photo(given: Mapping[str, Any]) -> Photo:
    expected = given.get("expected_count")
    kind, member = ("url", "image_url") if "image_url" in given else ("s3", "s3_uri")
    return Photo(
        kind,
        given[member],
        version_id=given.get("version_id"),
        expected_count=None if expected is None else int(expected),  # 3.0 is an integer in JSON
    )


def _content(event: Mapping[str, Any], limit: int, remedy: str) -> bytes:
    body = event.get("body")
    text = body if isinstance(body, str) else ""
    encoded = event.get("isBase64Encoded") is True
    if (len(text) * 3 // 4 - 2 if encoded else len(text)) > limit:  # before anything of this size is made
        raise _too_large(limit, remedy)
    try:
        content = base64.b64decode(text, validate=True) if encoded else text.encode()
    except UnicodeError:
        raise _bad("the body is not UTF-8") from None
    except ValueError:
        raise _bad("the body did not arrive as it was sent; send it again") from None
    if len(content) > limit:
        raise _too_large(limit, remedy)
    return content


def _expected_count(event: Mapping[str, Any]) -> int | None:
    given = _values(event, "queryStringParameters", "multiValueQueryStringParameters")
    unknown = sorted(set(given) - {"expected_count"})
    if unknown:
        raise _bad(f"there is no query parameter {unknown[0][:40]!a}; there is expected_count")
    values = given.get("expected_count", [])
    if not values:
        return None
    if len(values) > 1:
        raise _bad("the query parameter expected_count is given more than once")
    name, allowed = "the query parameter expected_count", _parameter("expected_count")
    if not _INTEGER.fullmatch(values[0]):
        bounds = f"from {allowed['minimum']} to {allowed['maximum']}"
        raise _bad(f"{name} is {values[0][:40]!a}; it must be a whole number {bounds}, written plainly")
    value = int(values[0])
    if wrong := schema.fault(value, allowed, document(), name):
        raise _bad(wrong)
    return value


def _header(event: Mapping[str, Any], name: str) -> str | None:
    found = [
        value
        for given, values in _values(event, "headers", "multiValueHeaders").items()
        if given.lower() == name.lower()
        for value in values
    ]
    if len(set(found)) > 1:
        raise _bad(f"the header {name} is given more than once")
    return found[0] if found else None


def _values(event: Mapping[str, Any], single: str, several: str) -> dict[str, list[str]]:
    """All values of all names. API Gateway sends both maps or, where there is nothing, null for both."""
    values = {name: [value] for name, value in _mapping(event.get(single)).items() if isinstance(value, str)}
    for name, listed in _mapping(event.get(several)).items():
        if isinstance(listed, list) and (texts := [value for value in listed if isinstance(value, str)]):
            values[name] = texts
    return values


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parameter(name: str) -> Mapping[str, Any]:
    parameters = document()["paths"]["/predictions"]["post"]["parameters"]
    return next(parameter["schema"] for parameter in parameters if parameter["name"] == name)


def _bad(detail: str) -> ProblemError:
    return ProblemError("bad_request", detail)


def _too_large(limit: int, remedy: str) -> ProblemError:
    return ProblemError("too_large", f"the body has more than {limit} bytes; {remedy}")
