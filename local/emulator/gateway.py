"""The one port: requests of SageMaker and of Application Auto Scaling go to our emulation, all others to ministack.

A request belongs to a service by the scope of its signature (`Credential=KEY/DATE/REGION/SERVICE/aws4_request`), or,
unsigned, by the first part of its X-Amz-Target.
"""

import asyncio
import base64
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol

from local.sagemaker.errors import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_TARGETS = ("SageMaker.", "AnyScaleFrontendService.")
_SERVICES = ("sagemaker", "application-autoscaling")
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([a-z0-9-]+)/aws4_request")
_INVOCATION = re.compile(r"/endpoints/([^/]+)/invocations")
_RUNTIME_HEADERS = {
    "content-type": "ContentType",
    "accept": "Accept",
    "x-amzn-sagemaker-custom-attributes": "CustomAttributes",
    "x-amzn-sagemaker-target-model": "TargetModel",
    "x-amzn-sagemaker-target-variant": "TargetVariant",
    "x-amzn-sagemaker-inference-id": "InferenceId",
}
_ANSWER_HEADERS = {
    "ContentType": "content-type",
    "InvokedProductionVariant": "x-amzn-invoked-production-variant",
    "CustomAttributes": "x-amzn-sagemaker-custom-attributes",
}
_API = re.compile(r"/restapis/[^/]+/[^/]+/_user_request_(/|$)")
_ENDING = b'{"message": "the emulated account is ending"}'
_THREADS = 32  # invocations wait for a model server; jobs are not run here

_logger = logging.getLogger("tally.gateway")


class Backend(Protocol):
    """What answers for SageMaker and Application Auto Scaling; `handle` may block and is called from threads."""

    def handle(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer an operation by its API name; ApiError when AWS would answer with an error."""
        ...

    def close(self) -> None:
        """End every job and server."""
        ...


class Gateway:
    """The ASGI application in front of both."""

    def __init__(self, backend: Backend, rest: Application):
        self._backend = backend
        self._rest = rest
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sagemaker")
        self._ending = False

    def end(self) -> None:
        """From now on answer new requests to deployed APIs with 503: their model servers are about to end.

        All else is still answered, since jobs that end keep what they have in S3.
        """
        self._ending = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._ending and scope["type"] == "http" and _is_for_an_api(scope):
            headers = {"content-type": "application/json", "connection": "close"}
            await _send(send, 503, headers, _ENDING)
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            if _is_ours(headers):
                await self._answer(scope["path"], headers, await _body(receive), send)
                return
        await self._rest(scope, receive, send)

    async def _answer(self, path: str, headers: dict[str, str], body: bytes, send: Send) -> None:
        invocation = _INVOCATION.fullmatch(path)
        try:
            operation, request = _invocation(invocation[1], headers, body) if invocation else _control(headers, body)
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._threads, self._backend.handle, operation, request)
        except ApiError as error:
            await _send(send, error.status, {"x-amzn-errortype": error.code}, _error_body(error))
            return
        except Exception as error:
            _logger.exception("%s failed", headers.get("x-amz-target", path))
            internal = ApiError("InternalFailure", f"{type(error).__name__}: {error}", 500)
            await _send(send, 500, {"x-amzn-errortype": internal.code}, _error_body(internal))
            return
        if invocation:
            given = {header: str(answer[key]) for key, header in _ANSWER_HEADERS.items() if answer.get(key)}
            await _send(send, 200, given, answer["Body"])
        else:
            await _send(send, 200, {}, json.dumps(answer, default=_wire).encode())


def _is_for_an_api(scope: Scope) -> bool:
    host = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
    return b".execute-api." in host or _API.match(scope["path"]) is not None


def _is_ours(headers: dict[str, str]) -> bool:
    scope = _SCOPE.search(headers.get("authorization", ""))
    if scope:
        return scope[1] in _SERVICES
    return headers.get("x-amz-target", "").startswith(_TARGETS)


def _control(headers: dict[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    operation = headers.get("x-amz-target", "").partition(".")[2]
    if not operation:
        raise ApiError(
            "UnknownOperationException", "the request has no X-Amz-Target header that names an operation", 400
        )
    try:
        request = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", f"the body of {operation} is not JSON: {error}", 400) from error
    if not isinstance(request, dict):
        raise ApiError("SerializationException", f"the body of {operation} is not a JSON object", 400)
    return operation, request


def _invocation(name: str, headers: dict[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    request: dict[str, Any] = {"EndpointName": name, "Body": body}
    request |= {key: headers[header] for header, key in _RUNTIME_HEADERS.items() if header in headers}
    return "InvokeEndpoint", request


def _error_body(error: ApiError) -> bytes:
    # `message` is what AWS JSON reads, `Message` what the runtime API reads.
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    return json.dumps(body, default=_wire).encode()


def _wire(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be sent as JSON")


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    sent = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": str(uuid.uuid4()), **headers}
    sent["content-length"] = str(len(body))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
