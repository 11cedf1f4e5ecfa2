"""Errors that a caller sees: one exception, rendered in one place as `application/problem+json` (RFC 9457)."""

import json
from http import HTTPStatus
from typing import Any


class ProblemError(Exception):
    """A request that is not answered with a count. `code` is stable for programs, `detail` is for people.

    `status` is the HTTP status; `retry_after` in seconds, where trying again may help.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def render(problem: ProblemError, request_id: str) -> dict[str, Any]:
    """The problem as API Gateway's proxy integration takes it."""
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
    body = {
        "type": f"urn:tally:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
    }
    return respond(problem.status, body, "application/problem+json", headers)


def respond(
    status: int, body: dict[str, Any], media_type: str = "application/json", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """A JSON answer that nothing on the way may keep."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": media_type, "Cache-Control": "no-store", **(headers or {})},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
