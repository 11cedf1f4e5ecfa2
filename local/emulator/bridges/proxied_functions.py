"""Between API Gateway and a function: requests that are too large for one of the two, functions that fail, and the id
of a request.

ministack takes requests of any size, and answers with the function's stack trace when it fails; API Gateway says
"413 Request Too Long" and "502 Internal server error", both in the words of the API's own gateway responses. It also
makes up one id of a request for the function's event and another for the caller; API Gateway has one.
"""

import json
from contextvars import ContextVar
from typing import Any

from ministack.services import apigateway_v1

GATEWAY_BYTES = 10 * 1024 * 1024  # of a body
FUNCTION_BYTES = 6 * 1024 * 1024  # of the whole event as JSON; a binary body is a third longer in it

_ID = "x-amzn-requestid"
_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def install() -> None:
    """Answer for API Gateway where the function cannot."""
    execute, call = apigateway_v1._execute_in_scope, apigateway_v1._call_lambda_raw
    read, proxy = apigateway_v1._lambda_proxy_response, apigateway_v1._invoke_lambda_proxy_v1

    async def execute_in_size(
        request: dict[str, Any], api_id: str, stage: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
    ) -> Any:
        known = apigateway_v1._stages_v1.get(api_id, {}).get(stage)
        if known and body and len(body) > GATEWAY_BYTES:
            request["stage"] = known  # its deployment has the words
            return _too_long()
        _request_id.set(request["request_id"])  # of this request's task alone
        answer = await execute(request, api_id, stage, method, path, headers, body, *rest)
        return _with_id(answer, request["request_id"])

    async def call_in_size(function: str, event: dict[str, Any], **scope: Any) -> Any:
        if (known := _request_id.get()) and "requestContext" in event:
            event["requestContext"].update(requestId=known, extendedRequestId=known)
        if len(event.get("body") or "") > FUNCTION_BYTES // 2 and len(json.dumps(event)) > FUNCTION_BYTES:
            raise _TooLongError
        return await call(function, event, **scope)

    def read_answer(result: dict[str, Any]) -> Any:
        if not _is_answer(result):
            raise _FailedError
        return read(result)

    async def proxy_or_problem(*arguments: Any, **options: Any) -> Any:
        try:
            return await proxy(*arguments, **options)
        except _TooLongError:
            return _too_long()
        except _FailedError:
            failed = apigateway_v1._gw_error("DEFAULT_5XX", "Internal server error")
            failed.status = 502
            return failed

    apigateway_v1._execute_in_scope = execute_in_size
    apigateway_v1._call_lambda_raw = call_in_size
    apigateway_v1._lambda_proxy_response = read_answer
    apigateway_v1._invoke_lambda_proxy_v1 = proxy_or_problem
    apigateway_v1._gateway_error_response = _with_status(apigateway_v1._gateway_error_response)


class _TooLongError(Exception):
    """The event is larger than Lambda takes."""


class _FailedError(Exception):
    """The function raised, ended, or answered with what is no answer of a proxied function."""


def _too_long() -> Any:
    return apigateway_v1._gw_error("REQUEST_TOO_LARGE", "Request Too Long")


def _with_id(answer: Any, request_id: str) -> Any:
    if not isinstance(answer, tuple):
        return answer  # an error, which gets the id where it gets its words
    status, headers, body = answer
    return status, {name: value for name, value in headers.items() if name.lower() != _ID} | {_ID: request_id}, body


def _is_answer(result: dict[str, Any]) -> bool:
    if result.get("throttle"):
        return True  # Lambda's own refusal; ministack has a form for it
    answer = result.get("body")
    return (
        not result.get("error")
        and isinstance(answer, dict)
        and str(answer.get("statusCode", "")).isdigit()
        and isinstance(answer.get("body", ""), str | None)
        and isinstance(answer.get("headers", {}), dict | None)
    )


def _with_status(respond: Any) -> Any:
    """The status that an error brings along, unless the API has its own for that kind of error."""

    def respond_with_status(error: Any, request: dict[str, Any]) -> Any:
        status, headers, body = respond(error, request)
        own = getattr(error, "status", None)
        return (own if own and status == 500 else status), headers, body

    return respond_with_status
