"""Answers that API Gateway gives by itself, in the form of the api function's: application/problem+json (RFC 9457)."""

import json
from http import HTTPStatus
from typing import NamedTuple

from aws_cdk import aws_apigateway as apigateway


class _Problem(NamedTuple):
    kind: str  # API Gateway's response type
    status: int
    code: str  # for programs; the function's own codes where both can find the same fault
    detail: str  # for people


PROBLEMS = (
    _Problem(
        "BAD_REQUEST_BODY",
        400,
        "bad_request",
        "the body must be a JSON object with exactly one of image_url (https://...) and s3_uri (s3://BUCKET/KEY)",
    ),
    _Problem("BAD_REQUEST_PARAMETERS", 400, "bad_request", "a parameter of the request is missing"),
    _Problem("UNAUTHORIZED", 401, "unauthorized", "the request is not signed as this API asks for"),
    _Problem("INVALID_API_KEY", 403, "forbidden", "send a valid API key in the header x-api-key"),
    # also what API Gateway says of a path that it does not know
    _Problem(
        "MISSING_AUTHENTICATION_TOKEN",
        403,
        "forbidden",
        "there is no such path and method here, or the request is not signed",
    ),
    _Problem("ACCESS_DENIED", 403, "forbidden", "the caller may not use this API"),
    _Problem("WAF_FILTERED", 403, "blocked", "the firewall blocked this request"),
    _Problem("RESOURCE_NOT_FOUND", 404, "not_found", "there is no such path here"),
    _Problem("REQUEST_TOO_LARGE", 413, "too_large", "the body has more than 10 MB"),
    _Problem("UNSUPPORTED_MEDIA_TYPE", 415, "media_type", "send the body as application/json"),
    _Problem("THROTTLED", 429, "throttled", "too many requests at once; wait a moment and try again more slowly"),
    _Problem("QUOTA_EXCEEDED", 429, "quota", "the API key's quota for today is used up"),
    _Problem("API_CONFIGURATION_ERROR", 500, "internal_error", "the API is set up wrongly; tell its operators"),
    _Problem("INTEGRATION_FAILURE", 502, "failed", "the request could not be handled; try again"),
    _Problem("INTEGRATION_TIMEOUT", 504, "timeout", "there was no answer in time; try again"),
)

# The status of these is known only when they happen; they keep what API Gateway gives.
_DEFAULTS = (("DEFAULT_4XX", "Request refused", "refused"), ("DEFAULT_5XX", "Internal Server Error", "internal_error"))


def add_problem_responses(api: apigateway.RestApi) -> None:
    """Give every answer that does not come from the function the members that its own problems have."""
    for problem in PROBLEMS:
        body = {
            "type": f"urn:tally:problem:{problem.code}",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
        }
        _add(api, problem.kind, body, status_code=str(problem.status))
    for kind, title, code in _DEFAULTS:
        _add(api, kind, {"type": f"urn:tally:problem:{code}", "title": title, "code": code}, status_code=None)


def _add(api: apigateway.RestApi, kind: str, body: dict[str, object], *, status_code: str | None) -> None:
    api.add_gateway_response(  # and with it a new deployment, without which API Gateway goes on with the old answers
        f"Problem{kind.title().replace('_', '')}",
        type=apigateway.ResponseType.of(kind),
        status_code=status_code,
        # templates are chosen by the Accept header and fall back to application/json; the header says what it is
        templates={"application/json": json.dumps({**body, "request_id": "$context.requestId"})},
        response_headers={"Content-Type": "'application/problem+json'", "Cache-Control": "'no-store'"},
    )
