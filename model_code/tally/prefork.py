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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

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


class _Worker(asyncio.Protocol):
    """A process, and what it has at hand, the first of which it is at work on."""

    def __init__(
        self, pid: int, connection: socket.socket, places: asyncio.Semaphore, ended: "Callable[[_Worker], None]"
    ) -> None:
        self.pid, self.connection = pid, connection
        self.at_hand: deque[_Request] = deque()
        self.listens = False
        self._places, self._ended = places, ended
        self._said = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def give(self, request: _Request) -> None:
        """One more request; a worker that starts gets what it has at hand as soon as it listens."""
        self.at_hand.append(request)
        if self.listens:
            self._write(request)

    def close(self) -> None:
        """Let the process end when it has answered."""
        if self._transport:
            self._transport.close()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on it is told what to do."""
        self._transport, self.listens = cast(asyncio.WriteTransport, transport), True
        for request in self.at_hand:
            self._write(request)

    def data_received(self, data: bytes) -> None:
        """Hand over the answers that are whole."""
        self._said += data
        while len(self._said) >= _ANSWER.size:
            status, length = _ANSWER.unpack_from(self._said)
            end = _ANSWER.size + length
            if len(self._said) < end:
                break
            answer = self.at_hand.popleft().answer
            self._places.release()
            if not answer.done():  # else its client has gone
                answer.set_result((status, bytes(self._said[_ANSWER.size : end])))
            del self._said[:end]

    def connection_lost(self, _: Exception | None) -> None:
        """The process has ended, or is let go."""
        self.listens = False
        self._ended(self)

    def _write(self, request: _Request) -> None:
        assert self._transport  # noqa: S101 - it listens
        self._transport.writelines([_REQUEST.pack(len(request.body)), request.body])  # with one call of the system


class Workers:
    """`number` processes that run `answer`. `prepare` has run in each of them when the constructor returns.

    TallyError when one is not ready after a minute, or ends before. An exception of `answer` ends its worker.
    """

    def __init__(self, answer: Callable[[bytes], Answer], number: int, prepare: Callable[[], object]) -> None:
        self._answer = answer
        self._places = asyncio.Semaphore(_DEPTH * number)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
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
        self._begin(self._kill_what_hangs())

    async def ask(self, body: bytes) -> Answer:
        """What a worker answers to `body`; WorkerDiedError when it ended over it."""
        await self._places.acquire()
        request = _Request(body, asyncio.get_running_loop().create_future())
        min(self._workers, key=lambda worker: len(worker.at_hand)).give(request)
        return await request.answer

    def close(self) -> None:
        """Let the workers end when they have answered what they have at hand."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for worker in self._workers:
            worker.close()

    async def _listen(self, worker: _Worker) -> None:
        await asyncio.get_running_loop().create_connection(lambda: worker, sock=worker.connection)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill_what_hangs(self) -> None:
        """Kill a worker that has been over the same request for a minute or two."""
        while True:
            begun = {worker: worker.at_hand[0] for worker in self._workers if worker.at_hand}
            await asyncio.sleep(_ANSWER_SECONDS)
            for worker in self._workers:
                # One that listens has not been waited for: its number is still its own.
                if worker.listens and worker.at_hand and worker.at_hand[0] is begun.get(worker):
                    os.kill(worker.pid, signal.SIGKILL)

    def _ended(self, worker: _Worker) -> None:
        if not self._closing:
            self._begin(self._replace(worker))

    async def _replace(self, worker: _Worker) -> None:
        """Start another worker in the place of one that has ended. What that had not begun is not lost."""
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
        return _Worker(pid, ours, self._places, self._ended)


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
