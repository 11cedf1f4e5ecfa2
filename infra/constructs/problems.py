"""Answers that API Gateway gives by itself, in the form of the api function's: application/problem+json (RFC 9457).

Statuses and sentences are those of the API's document, `x-problems`.
"""

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_apigateway as apigateway

from infra.document import binary_media_types, document

CODES: Mapping[str, str] = {
    "BAD_REQUEST_BODY": "bad_request",
    "BAD_REQUEST_PARAMETERS": "bad_request",
    "UNAUTHORIZED": "unauthorized",
    "EXPIRED_TOKEN": "unauthorized",
    "INVALID_SIGNATURE": "unauthorized",
    "INVALID_API_KEY": "forbidden",
    "MISSING_AUTHENTICATION_TOKEN": "forbidden",  # also what API Gateway says of a path that it does not know
    "ACCESS_DENIED": "forbidden",
    "WAF_FILTERED": "blocked",
    "RESOURCE_NOT_FOUND": "not_found",
    "REQUEST_TOO_LARGE": "too_large",
    "UNSUPPORTED_MEDIA_TYPE": "unsupported_media_type",
    "THROTTLED": "throttled",
    "QUOTA_EXCEEDED": "quota",
    "API_CONFIGURATION_ERROR": "internal_error",
    "INTEGRATION_FAILURE": "failed",
    "INTEGRATION_TIMEOUT": "timeout",
}
"""Problem code by API Gateway's type of response."""

_DEFAULTS: Mapping[str, str] = {"DEFAULT_4XX": "bad_request", "DEFAULT_5XX": "internal_error"}
"""For what has no type of its own. Without status: one given here would be that of all other answers too."""

RETRY_AFTER: Mapping[str, int] = {
    "throttled": 1,  # the bucket of the plan fills every second
    "quota": 3600,  # it begins anew at midnight UTC; whoever asks every hour is not far behind
}
"""Seconds, by problem code."""


def add_problem_responses(api: apigateway.RestApi) -> None:
    """Give every answer that does not come from the function the members that its own problems have."""
    for kind, code in CODES.items():
        problem = _problem(code)
        status = problem["status"]
        body = {
            "type": f"urn:tally:problem:{code}",
            "title": problem["title"],
            "status": status,
            "code": code,
            "detail": detail(code),
        }
        _add(api, kind, body, status_code=str(status), retry_after=RETRY_AFTER.get(code))
    for kind, code in _DEFAULTS.items():
        body = {"type": f"urn:tally:problem:{code}", "title": _problem(code)["title"], "code": code}
        _add(api, kind, body, status_code=None, retry_after=None)


def detail(code: str) -> str:
    """What people are told: what it means and what to do, in words that do not stand in the document itself."""
    if code == "bad_request":
        return _request()
    problem = _problem(code)
    said = f"{problem['meaning']} {problem['remedy']}"
    return said.replace("this document", "openapi.json").replace("`", "")


def _request() -> str:
    """What a body must be, all of it: API Gateway knows which rule was broken, but tells it in no way that is JSON."""
    schemas = document()["components"]["schemas"]
    by_url, in_s3 = (schemas[name]["properties"] for name in ("PhotoByUrl", "PhotoInS3"))
    count, images = by_url["expected_count"], schemas["Batch"]["properties"]["images"]
    *most, last = binary_media_types()
    return (
        "The request is not as GET /openapi.json says. JSON must be an object with "
        f"image_url (a text of up to {by_url['image_url']['maxLength']} characters) or "
        f"s3_uri (up to {in_s3['s3_uri']['maxLength']}, with version_id of up to {in_s3['version_id']['maxLength']} if "
        f"need be), and expected_count (a whole number from {count['minimum']} to {count['maximum']}) if wanted; or "
        f"with images, a list of {images['minItems']} to {images['maxItems']} such objects; and with no other members. "
        f"A photo as the body is sent as {', '.join(most)} or {last}."
    )


def _problem(code: str) -> dict[str, Any]:
    (found,) = (problem for problem in document()["x-problems"] if problem["code"] == code)
    return dict(found)


def _add(
    api: apigateway.RestApi, kind: str, body: Mapping[str, Any], *, status_code: str | None, retry_after: int | None
) -> None:
    headers = {"Content-Type": "'application/problem+json'", "Cache-Control": "'no-store'"}
    if retry_after is not None:
        headers["Retry-After"] = f"'{retry_after}'"
    api.add_gateway_response(  # and with it a new deployment, without which API Gateway goes on with the old answers
        f"Problem{kind.title().replace('_', '')}",
        type=apigateway.ResponseType.of(kind),
        status_code=status_code,
        # templates are chosen by the Accept header and fall back to application/json; the header says what it is
        templates={"application/json": json.dumps({**body, "request_id": "$context.requestId"})},
        response_headers=headers,
    )
