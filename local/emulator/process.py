"""The emulator's process: one account on one port until it is told to end, and nothing left of it afterwards."""

import asyncio
import contextlib
import fcntl
import gc
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import uvicorn
import uvloop

from local.emulator import children, environment, versions
from local.emulator.errors import EmulatorError
from local.emulator.gateway import Backend, Gateway

RUNNING = "emulator.json"  # in the folder, while the emulator serves: {"pid": ..., "port": ...}
_LOCK = "emulator.lock"
_TEMPORARY = "temporary"  # in the folder: code of Lambda functions, which ministack unpacks and leaves
_PARENT_SECONDS = 1.0
_READS = 64  # of photos at once; one that comes later makes a connection of its own
_GRACE_SECONDS = 2  # for requests that are being answered when the end comes
_GARBAGE = (20_000, 20, 50)  # moto imports a service when it is first asked for: at Python's own, in twice the time

_logger = logging.getLogger("tally.emulator")

Emit = Callable[..., None]
MakeBackend = Callable[[str, Emit], Backend]  # (address of the gateway, emit(source, detail_type, detail, resources))


def run(
    port: int, folder: Path, make_backend: MakeBackend, *, log_level: str = "WARNING", parent: int | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, or the end of the process `parent`; port 0 takes a free one. Prints
    `ready http://localhost:PORT` once it answers.

    EmulatorError: another version of ministack or moto is installed, the port is taken, or another emulator uses the
    folder.
    """
    gc.disable()  # until it serves: what comes until then stays (ADR 34)
    versions.check()
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder), _listening(port) as listener, _temporary(folder), contextlib.ExitStack() as ended:
        bound = listener.getsockname()[1]
        _prepare_environment(bound, folder, log_level)
        ended.enter_context(_internet(bound, folder))
        try:
            # ministack reads its settings while it is imported: not before they are set.
            from local.emulator import bridges, resources
            from local.emulator.events import put_event

            backend = make_backend(environment.endpoint_url(bound), put_event)
            bridges.install()
            resources.install(backend)
            uvloop.run(_serve(listener, bound, folder, backend, parent))
        finally:
            (folder / RUNNING).unlink(missing_ok=True)
            children.end(folder)


def _prepare_environment(port: int, folder: Path, log_level: str) -> None:
    """Variables of this process, which Lambda workers inherit: the emulated account's instead of a person's own."""
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": environment.HOST,
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": environment.ACCOUNT,
        "MINISTACK_REGION": environment.REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_STRICT": "0",
        "LOG_LEVEL": log_level,
        children.MARK: str(folder),
    }
    wanted = environment.for_children(port) | settings
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


@contextlib.contextmanager
def _internet(port: int, folder: Path) -> Iterator[None]:
    """Web sites of this machine's, which Lambda workers take for the internet; one of them shows the buckets."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError, ParamValidationError

    from local.emulator.internet import server

    pool = Config(max_pool_connections=_READS)
    s3 = boto3.client("s3", endpoint_url=environment.endpoint_url(port), config=pool)

    def read(bucket: str, key: str) -> bytes | None:
        try:
            return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (ClientError, ParamValidationError):
            return None

    with server.serving(folder / "internet", read) as seen:
        os.environ.update(seen)  # which workers inherit
        yield


class _Server(uvicorn.Server):
    """One that leaves signals to the emulator: jobs end before it does, while S3 still answers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(listener: socket.socket, port: int, folder: Path, backend: Backend, parent: int | None) -> None:
    from ministack.app import app

    gateway = Gateway(backend, app)
    server = _Server(
        uvicorn.Config(
            gateway,
            http="httptools",  # a run uploads thousands of photos
            ws="none",
            log_config=None,
            log_level=os.environ["LOG_LEVEL"].lower(),
            access_log=False,
            date_header=False,  # ministack answers with one
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ending.set)

    async def end() -> None:
        await ending.wait()
        gateway.end()
        (folder / RUNNING).unlink(missing_ok=True)
        try:  # while S3 still answers: jobs that end keep what they have
            await loop.run_in_executor(None, backend.close)
        except Exception:
            _logger.exception("jobs or servers were not ended in order; they are killed")
        server.should_exit = True

    others = [asyncio.create_task(end()), asyncio.create_task(_announce(port, folder))]
    if parent is not None:
        others.append(asyncio.create_task(_end_with(parent, ending)))
    await server.serve([listener])
    for task in others:
        task.cancel()


async def _end_with(parent: int, ending: asyncio.Event) -> None:
    """A run that was killed cannot end its emulator, so the emulator looks whether the run is there."""
    while psutil.pid_exists(parent):
        await asyncio.sleep(_PARENT_SECONDS)
    ending.set()


async def _announce(port: int, folder: Path) -> None:
    """Say that the emulator is ready, once it has answered."""
    while not await _answers(port):
        await asyncio.sleep(0.02)
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    gc.enable()
    (folder / RUNNING).write_text(json.dumps({"pid": os.getpid(), "port": port}))
    sys.stdout.write(f"ready {environment.endpoint_url(port)}\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever read that line need not read on


async def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(environment.HOST, port)
        writer.write(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return b" 200 " in line
    return False


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((environment.HOST, port))
        except OSError as error:
            raise EmulatorError(
                f"port {port} cannot be used ({error.strerror}): end what listens there, or choose another port"
            ) from error
        listener.listen(256)
        yield listener


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EmulatorError(f"an emulator already runs in {folder}; end it first (make down)") from error
        children.end(folder)  # of an emulator that was killed
        yield


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    """Temporary files of this process lie in the folder and go with it. Not through TMPDIR: jobs inherit that, and
    sockets in a path as long as this one cannot be bound."""
    own = folder / _TEMPORARY
    shutil.rmtree(own, ignore_errors=True)  # of an emulator that was killed
    own.mkdir()
    tempfile.tempdir = str(own)
    try:
        yield
    finally:
        shutil.rmtree(own, ignore_errors=True)


def read_running(folder: Path) -> dict[str, Any] | None:
    """What `RUNNING` says, None without it."""
    try:
        said: dict[str, Any] = json.loads((folder / RUNNING).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return said
