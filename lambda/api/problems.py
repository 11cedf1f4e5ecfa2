"""Errors that a caller sees: one exception, rendered in one place as `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import Any

from document import problems

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """A request, or one of its photos, that is not answered with a count.

    `code` is stable for programs and one of `x-problems` in openapi.json, which also says its HTTP status; `detail` is
    for people; `retry_after` in seconds, where trying again may help. KeyError for a code that is not in the document.
    """

    def __init__(self, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status: int = problems()[code]["status"]
        self.detail = detail
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, Any]:
        """The problem as JSON."""
        return {
            "type": f"urn:tally:problem:{self.code}",
            "title": problems()[self.code]["title"],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        }


def render(problem: ProblemError, request_id: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The problem as API Gateway's proxy integration takes it."""
    more = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
    return respond(problem.status, problem.body(request_id), {"Content-Type": MEDIA_TYPE, **more, **(headers or {})})


def respond(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A JSON answer that nothing on the way may keep."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
