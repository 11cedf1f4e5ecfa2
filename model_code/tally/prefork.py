"""Processes that answer requests side by side, forked from one that has loaded what they need.

The process that reads the network hands each request to the worker that has the fewest, so that no CPU idles while
another has a queue. Threads would wait for each other, for Python's lock, several times a photo (docs/adr/0028). What
was loaded before the fork is shared, page by page, until somebody writes to it.

    socketpair, parent -> worker   length (4 bytes), request
    socketpair, worker -> parent   status (2 bytes), length (4 bytes), answer
"""

import asyncio
import gc
import os
import signal
import socket
import struct
import sys
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tally.errors import TallyError

Answer = tuple[int, bytes]
"""Status and body."""

_REQUEST, _ANSWER = struct.Struct("<I"), struct.Struct("<HI")
_DEPTH = 2
"""Requests at a worker: the next one is there when it has answered the last."""
_START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
"""SageMaker waits no longer."""
_READY = b"R"


class WorkerDiedError(TallyError):
    """The process that was at work on a request ended: killed for its memory, or crashed in a decoder."""


@dataclass
class _Request:
    body: bytes
    answer: "asyncio.Future[Answer]"


@dataclass
class _Worker:
    pid: int
    connection: socket.socket
    writer: asyncio.StreamWriter | None = None
    at_hand: deque[_Request] = field(default_factory=deque)


class Workers:
    """`number` processes that run `answer`. `prepare` has run in each of them when the constructor returns.

    TallyError when one is not ready after a minute, or ends before. An exception of `answer` ends its worker.
    """

    def __init__(self, answer: Callable[[bytes], Answer], number: int, prepare: Callable[[], object]) -> None:
        self._answer = answer
        self._places = asyncio.Semaphore(_DEPTH * number)
        self._tasks: set[asyncio.Task[None]] = set()
        gc.freeze()  # else the collector writes to every object, and so copies every page that is shared
        self._workers = [self._fork(prepare) for _ in range(number)]
        for worker in self._workers:
            _wait_until_ready(worker)

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._workers)

    async def connect(self) -> None:
        """Before the first `ask`, in the same event loop."""
        for worker in self._workers:
            await self._listen(worker)

    async def ask(self, body: bytes) -> Answer:
        """What a worker answers to `body`; WorkerDiedError when it ended over it."""
        await self._places.acquire()
        request = _Request(body, asyncio.get_running_loop().create_future())
        self._send(request)
        return await request.answer

    def close(self) -> None:
        """Let the workers end when they have answered what they have at hand."""
        for task in self._tasks:
            task.cancel()
        for worker in self._workers:
            if worker.writer:
                worker.writer.close()

    def _send(self, request: _Request) -> None:
        worker = min(self._workers, key=lambda worker: len(worker.at_hand))
        worker.at_hand.append(request)
        if worker.writer:  # else one that starts; it gets what it has at hand as soon as it listens
            _write(worker.writer, request)

    async def _listen(self, worker: _Worker) -> None:
        reader, worker.writer = await asyncio.open_connection(sock=worker.connection)
        for request in worker.at_hand:
            _write(worker.writer, request)
        task = asyncio.create_task(self._read(worker, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                status, length = _ANSWER.unpack(await self._head(worker, reader))
                body = await reader.readexactly(length)
                request = worker.at_hand.popleft()
                self._places.release()
                if not request.answer.done():  # else its client has gone
                    request.answer.set_result((status, body))
        await self._replace(worker)

    async def _head(self, worker: _Worker, reader: asyncio.StreamReader) -> bytes:
        """The beginning of the worker's next answer. One that has hung over a request for a minute or two is killed."""
        while True:
            begun = bool(worker.at_hand)  # what is first stays first until it is answered
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return await reader.readexactly(_ANSWER.size)
            except TimeoutError:
                if begun:
                    os.kill(worker.pid, signal.SIGKILL)  # nobody else waits for it: it is there until `_replace`

    async def _replace(self, worker: _Worker) -> None:
        """Start another worker in the place of one that has ended. What that had not begun is not lost."""
        if worker.writer:
            worker.writer.close()
            worker.writer = None
        ended = _reaped(worker.pid)
        print(f"worker {worker.pid} {ended}, with {len(worker.at_hand)} photos at hand", file=sys.stderr, flush=True)
        if worker.at_hand:
            self._places.release()
            begun = worker.at_hand.popleft().answer
            if not begun.done():
                begun.set_exception(WorkerDiedError(f"the worker {ended}"))
        while True:
            try:
                successor = self._fork()
                break
            except OSError as error:
                print(f"no worker can be started, tried again in a second: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(1)
        successor.at_hand = worker.at_hand
        self._workers[self._workers.index(worker)] = successor
        await self._listen(successor)

    def _fork(self, prepare: Callable[[], object] | None = None) -> _Worker:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _work(theirs, self._answer, prepare)
        theirs.close()
        return _Worker(pid, ours)


def _work(
    connection: socket.socket, answer: Callable[[bytes], Answer], prepare: Callable[[], object] | None
) -> NoReturn:
    """The life of a worker: until the parent closes the connection, or is gone."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):  # a drained parent ends it; it may be at work until then
            signal.signal(number, signal.SIG_IGN)
        _close_all_but(connection.fileno())
        if prepare:
            prepare()
            connection.sendall(_READY)
        _answer_all(connection, answer)
        code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # nothing that the parent has registered to run at its end


def _close_all_but(kept: int) -> None:
    """Sockets of callers, and those of other workers, which would not end while this one has them."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number != kept:
            with suppress(OSError):  # the one of the listing itself
                os.close(number)


def _answer_all(connection: socket.socket, answer: Callable[[bytes], Answer]) -> None:
    with connection.makefile("rb") as requests:
        while head := requests.read(_REQUEST.size):
            status, body = answer(requests.read(*_REQUEST.unpack(head)))
            connection.sendall(_ANSWER.pack(status, len(body)) + body)


def _write(writer: asyncio.StreamWriter, request: _Request) -> None:
    writer.write(_REQUEST.pack(len(request.body)))
    writer.write(request.body)


def _wait_until_ready(worker: _Worker) -> None:
    worker.connection.settimeout(_START_SECONDS)
    try:
        said = worker.connection.recv(1)
    except TimeoutError:
        said = b""
    worker.connection.setblocking(False)
    if said != _READY:
        raise TallyError(
            f"worker {worker.pid} of the server was not ready after at most {_START_SECONDS:g} s; what it says of that "
            "is above in this log"
        )


def _reaped(pid: int) -> str:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
