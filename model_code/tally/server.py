"""The endpoint: SageMaker's serving contract over one model.

    python -m tally serve          # 0.0.0.0:8080; TALLY_BIND_HOST and SAGEMAKER_BIND_TO_PORT override

`GET /ping` answers 200; nothing listens before the model has run once. `POST /invocations` takes one photo as the body.
Photos are counted side by side in as many processes as there are CPUs, one thread each; this one reads and answers.
Answers name the model package that TALLY_MODEL_PACKAGE gives the ARN of, where there is one.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import uvicorn
import uvicorn.lifespan.on  # this and the next one, else when the model is there: they are imported while it is read
import uvicorn.protocols.http.httptools_impl
from PIL import Image

from tally.cpus import usable_cpus
from tally.errors import TallyError
from tally.predictor import BadPhoto, Limits, Predictor, too_large
from tally.prefork import Answer, WorkerDiedError, Workers

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

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
_METHODS = {"/ping": ("GET", "HEAD"), "/invocations": ("POST",)}
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
    config = uvicorn.Config(
        Endpoint(workers, predictor.limits),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C, which uvicorn raises again as well
        uvicorn.Server(config).run([place])


def counter(predictor: Predictor, package: str | None) -> Callable[[bytes], Answer]:
    """What the workers do: from an encoded photo to status and body. `package` is the model's, as GROUP/VERSION."""

    def count(photo: bytes) -> Answer:
        try:
            return 200, _json({**predictor.predict(photo).as_dict(), "package": package})
        except BadPhoto as error:
            return _error(error.status, error.code, str(error))
        except Exception:
            traceback.print_exc()
            return _error(500, "internal_error", _INTERNAL)

    return count


class Endpoint:
    """The ASGI application: /ping, /invocations, and `workers` from its start to its end.

    Without a framework, which took a third of the CPU time of this process (docs/adr/0028).
    """

    def __init__(self, workers: Workers, limits: Limits) -> None:
        self._workers = workers
        self._limits = limits
        self._most = workers.number * _WAITING
        self._at_hand = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """What uvicorn calls: once for the server's life, and for each request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        more = []
        try:
            status, answer = await self._answer(scope, receive)
        except _GoneError:
            return
        except asyncio.CancelledError:  # by uvicorn, DRAIN_SECONDS after it was told to end
            status, answer = _error(503, "busy", "this server is ending: try again")
        except BadPhoto as error:
            status, answer = _error(error.status, error.code, str(error))
            if status in (408, 413):  # a body that never ends would keep the connection
                more.append((b"connection", b"close"))
        except Exception:
            traceback.print_exc()
            status, answer = _error(500, "internal_error", _INTERNAL)
        if status == 405:
            more.append((b"allow", ", ".join(_METHODS[scope["path"]]).encode()))
        if answer:
            more.append((b"content-type", b"application/json"))
        headers = [(b"content-length", b"%d" % len(answer)), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        await self._workers.connect()
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        self._workers.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        if path not in _METHODS:
            return _error(404, "not_found", "Not Found")
        if method not in _METHODS[path]:
            return _error(405, "method_not_allowed", "Method Not Allowed")
        if path == "/ping":
            return 200, b""
        return await self._count(scope, receive)

    async def _count(self, scope: Message, receive: Receive) -> Answer:
        """Count the objects in the photo that is the request's body."""
        given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        media_type = given.decode("latin-1").split(";")[0].strip().lower()
        if media_type not in CONTENT_TYPES:
            message = f"content type {media_type!r}: send a photo as one of {', '.join(CONTENT_TYPES)}"
            raise BadPhoto("unsupported_content_type", 415, message)
        photo = await self._body(receive)
        # Only now: bodies that take their time must not keep others out.
        if self._at_hand >= self._most:
            return _error(503, "busy", f"{self._at_hand} photos are waiting already: try again later")
        self._at_hand += 1
        try:
            return await self._workers.ask(photo)
        except WorkerDiedError:
            return _error(500, "internal_error", _INTERNAL)
        finally:
            self._at_hand -= 1

    async def _body(self, receive: Receive) -> bytes:
        """Read the body, holding never more than the limit; a longer one is refused, and one that takes too long."""
        limits = self._limits
        body, length, more = bytearray(), 0, True
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while more and length <= _READ_ON * limits.max_bytes:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part, more = message["body"], message["more_body"]
                    length += len(part)
                    if length <= limits.max_bytes:
                        body += part
        except TimeoutError:
            slow = f"the body was not complete after {_BODY_SECONDS:g} seconds: send it faster"
            raise BadPhoto("slow_body", 408, slow) from None
        if length > limits.max_bytes:
            raise too_large(length, limits)
        return bytes(body)


class _GoneError(Exception):
    """The caller has hung up in the middle of its body."""


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


def _error(status: int, code: str, message: str) -> Answer:
    return status, _json({"code": code, "message": message})
