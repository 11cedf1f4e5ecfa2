"""The endpoint: SageMaker's serving contract over one model.

    python -m tally serve          # 0.0.0.0:8080; TALLY_BIND_HOST and SAGEMAKER_BIND_TO_PORT override

`GET /ping` answers 200; nothing listens before the model has run once. `POST /invocations` takes one photo as the body.
Photos are counted side by side in as many processes as there are CPUs, one thread each; this one reads and answers.
Answers name the model package that TALLY_MODEL_PACKAGE gives the ARN of, where there is one.
"""

import json
import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import uvicorn
import uvicorn.lifespan.on  # this and the next one, else when the model is there: they are imported while it is read
import uvicorn.protocols.http.httptools_impl
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tally.cpus import usable_cpus
from tally.errors import TallyError
from tally.predictor import BadPhoto, Limits, Predictor, too_large
from tally.prefork import Answer, WorkerDiedError, Workers

CONTENT_TYPES = ("image/jpeg", "image/png", "image/webp")
DRAIN_SECONDS = 25
"""SageMaker sends SIGKILL 30 seconds after SIGTERM."""
_WAITING = 32
"""Requests at hand per worker from which new ones are sent away: each holds a photo of some megabytes."""
_READ_ON = 4
"""A body is read, and dropped, up to so many times the limit: most clients only listen once they have sent all."""
_BODY_SECONDS = 30.0
"""For a whole body; SageMaker itself sends a photo in a moment."""
_INTERNAL = "the photo could not be counted; the reason is in the server's log"
_PACKAGE = re.compile(r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}:model-package/([A-Za-z0-9-]{1,63}/[1-9]\d*)")


def serve(load: Callable[[], Predictor]) -> None:
    """Serve the model that `load` returns until SIGTERM, then finish the requests at hand and exit with 0.

    TallyError before anything listens when the port is no number or taken or the package no package, when the model
    does not run, or when `load` raises it.
    """
    place = _bound(os.environ.get("TALLY_BIND_HOST", "0.0.0.0"), _port())  # noqa: S104 - a container serves its network
    package = _package()
    Image.init()  # looks for plugins, else each worker at its first photo
    predictor = load()
    workers = Workers(counter(predictor, package), usable_cpus(), predictor.warm_up)
    # uvicorn raises the signal again once it has drained.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = create_app(workers, predictor.limits)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", timeout_graceful_shutdown=DRAIN_SECONDS, access_log=False
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C, which uvicorn raises again as well
        uvicorn.Server(config).run([place])


def counter(predictor: Predictor, package: str | None) -> Callable[[bytes], Answer]:
    """What the workers do: from an encoded photo to status and body. `package` is the model's, as GROUP/VERSION."""

    def count(photo: bytes) -> Answer:
        try:
            return 200, _json({**predictor.predict(photo).as_dict(), "package": package})
        except BadPhoto as error:
            return error.status, _json({"code": error.code, "message": str(error)})
        except Exception:
            traceback.print_exc()
            return 500, _json({"code": "internal_error", "message": _INTERNAL})

    return count


def create_app(workers: Workers, limits: Limits) -> Starlette:
    """Return the ASGI application, which closes `workers` when it ends."""
    endpoint = Endpoint(workers, limits)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await workers.connect()
        yield
        workers.close()

    return Starlette(
        routes=[
            Route("/ping", endpoint.ping, methods=["GET"]),
            Route("/invocations", endpoint.invoke, methods=["POST"]),
        ],
        exception_handlers={
            BadPhoto: _bad_photo,
            ClientDisconnect: _gone,
            HTTPException: _http_error,
            Exception: _internal_error,
        },
        lifespan=lifespan,
    )


class Endpoint:
    """The two routes and what they share."""

    def __init__(self, workers: Workers, limits: Limits) -> None:
        self._workers = workers
        self._limits = limits
        self._most = workers.number * _WAITING
        self._at_hand = 0

    async def ping(self, _request: Request) -> Response:
        """Answer that photos can be counted."""
        return Response(status_code=200)

    async def invoke(self, request: Request) -> Response:
        """Count the objects in the photo that is the request's body."""
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type not in CONTENT_TYPES:
            message = f"content type {media_type!r}: send a photo as one of {', '.join(CONTENT_TYPES)}"
            raise BadPhoto("unsupported_content_type", 415, message)
        photo = await self._body(request)
        # Only now: bodies that take their time must not keep others out.
        if self._at_hand >= self._most:
            return _error(503, "busy", f"{self._at_hand} photos are waiting already: try again later")
        self._at_hand += 1
        try:
            status, answer = await self._workers.ask(photo)
        except WorkerDiedError:
            return _error(500, "internal_error", _INTERNAL)
        finally:
            self._at_hand -= 1
        return Response(answer, status, media_type="application/json")

    async def _body(self, request: Request) -> bytes:
        """Read the body, holding never more than the limit; a longer one is refused, and one that takes too long."""
        limits = self._limits
        body, length = bytearray(), 0
        with anyio.move_on_after(_BODY_SECONDS) as time_limit:
            async for chunk in request.stream():
                length += len(chunk)
                if length > _READ_ON * limits.max_bytes:
                    break
                if length <= limits.max_bytes:
                    body += chunk
        if time_limit.cancelled_caught:
            message = f"the body was not complete after {_BODY_SECONDS:g} seconds: send it faster"
            raise BadPhoto("slow_body", 408, message)
        if length > limits.max_bytes:
            raise too_large(length, limits)
        return bytes(body)


def _port() -> int:
    text = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise TallyError(f"SAGEMAKER_BIND_TO_PORT is {text!r}; it must be a port number from 1 to 65535")
    return int(text)


def _bound(host: str, port: int) -> socket.socket:
    """A socket of that address, which does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind, protocol)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise TallyError(
            f"cannot listen on {host}, port {port} ({error.strerror}): end what listens there, or set TALLY_BIND_HOST "
            "or SAGEMAKER_BIND_TO_PORT"
        ) from error
    return place


def _package() -> str | None:
    arn = os.environ.get("TALLY_MODEL_PACKAGE", "")
    if not arn:
        return None
    match = _PACKAGE.fullmatch(arn)
    if not match:
        raise TallyError(f"TALLY_MODEL_PACKAGE is {arn!r}; it must be the ARN of a model package with its version")
    return match[1]


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, status, headers)


async def _bad_photo(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BadPhoto)  # noqa: S101 - for the type checker; starlette dispatches by class
    # A body that never ends would keep the connection.
    unread = error.status in (408, 413)
    return _error(error.status, error.code, str(error), {"connection": "close"} if unread else None)


async def _gone(_request: Request, _: Exception) -> Response:
    return _error(400, "disconnected", "the body broke off")  # for nobody; an error of ours it is not


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return _error(error.status_code, code, error.detail, dict(error.headers or {}))


async def _internal_error(_request: Request, _: Exception) -> Response:
    return _error(500, "internal_error", _INTERNAL)
