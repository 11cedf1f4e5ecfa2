"""Answers that API Gateway gives by itself, in the form of the api function's: application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from aws_cdk import aws_apigateway as apigateway


class _Problem(NamedTuple):
    kind: str  # API Gateway's response type
    status: int
    title: str
    code: str
    detail: str


PROBLEMS = (
    _Problem(
        "BAD_REQUEST_BODY",
        400,
        "Bad request",
        "malformed",
        "The body must be a JSON object with exactly one of image_url (https://...) and s3_uri (s3://BUCKET/KEY).",
    ),
    _Problem("BAD_REQUEST_PARAMETERS", 400, "Bad request", "malformed", "A parameter of the request is missing."),
    _Problem("INVALID_API_KEY", 403, "Forbidden", "forbidden", "Send a valid API key in the header x-api-key."),
    _Problem(
        "MISSING_AUTHENTICATION_TOKEN",  # also what API Gateway says of a path that it does not know
        403,
        "Forbidden",
        "forbidden",
        "There is no such path and method here, or the request is not signed.",
    ),
    _Problem("ACCESS_DENIED", 403, "Forbidden", "forbidden", "The caller may not use this API."),
    _Problem("WAF_FILTERED", 403, "Forbidden", "blocked", "The firewall blocked this request."),
    _Problem("RESOURCE_NOT_FOUND", 404, "Not found", "not_found", "There is no such path here."),
    _Problem("REQUEST_TOO_LARGE", 413, "Content too large", "too_large", "The body is above 10 MB."),
    _Problem(
        "UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported media type", "media_type", "Send the body as application/json."
    ),
    _Problem("THROTTLED", 429, "Too many requests", "throttled", "Wait a moment, then try again more slowly."),
    _Problem("QUOTA_EXCEEDED", 429, "Too many requests", "quota", "The API key's quota for today is used up."),
    _Problem("INTEGRATION_TIMEOUT", 504, "Gateway timeout", "timeout", "There was no answer in time; try again."),
    _Problem("INTEGRATION_FAILURE", 502, "Bad gateway", "failed", "The request could not be handled; try again."),
    _Problem("API_CONFIGURATION_ERROR", 500, "Internal server error", "failed", "The API is set up wrongly."),
)

# The status of these is known only when they happen; they keep what API Gateway gives.
_DEFAULTS = (("DEFAULT_4XX", "Request refused", "refused"), ("DEFAULT_5XX", "Internal server error", "failed"))


def add_problem_responses(api: apigateway.RestApi) -> None:
    """Give every answer that does not come from the function a status, title, code, detail and request_id."""
    for problem in PROBLEMS:
        status, title, code, detail = problem.status, problem.title, problem.code, problem.detail
        _add(api, problem.kind, {"title": title, "code": code, "detail": detail}, status=status)
    for kind, title, code in _DEFAULTS:
        _add(api, kind, {"title": title, "code": code}, status=None)


def _add(api: apigateway.RestApi, kind: str, members: Mapping[str, str], *, status: int | None) -> None:
    known = {"status": status} if status else {}
    body = {"type": "about:blank", **known, **members, "request_id": "$context.requestId"}
    api.add_gateway_response(  # and with it a new deployment, without which API Gateway goes on with the old answers
        f"Problem{kind.title().replace('_', '')}",
        type=apigateway.ResponseType.of(kind),
        status_code=str(status) if status else None,
        # templates are chosen by the Accept header and fall back to application/json; the header says what it is
        templates={"application/json": json.dumps(body)},
        response_headers={"Content-Type": "'application/problem+json'"},
    )
