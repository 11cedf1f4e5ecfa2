"""Clients that ask as fast as they are answered: each sends its next photo when it has the answer to the last one.

    PYTHONPATH=model_code python -m benchmarks.serving.load --server Tally --port 8080 --photos FOLDER --concurrency 4

A process of its own, the same for every server. Connections are kept, but begin one after the other and are renewed now
and then: those that come at once may all be taken by one of several workers that listen together. Prints JSON.
"""

import asyncio
import contextlib
import itertools
import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import httptools
import uvloop

from benchmarks.serving.servers import SERVERS

_WARM_SECONDS = 0.5  # of asking before the window begins
_APART_SECONDS = 0.02  # from one client's first connection to the next one's
_RENEWED_AFTER = 20  # requests on a connection; one more for each client, so that they do not come together
_ANSWER_SECONDS = 60.0  # SageMaker waits as long
_FAILED_PAUSE = 0.01  # seconds: clients that are turned away must not take the server's CPU
BROKEN = (OSError, ValueError)


@dataclass
class Asked:
    """What was answered within the window: latencies in ms, of answers with status 200; all others `failed`."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    failed: int = 0


class Connection:
    """One HTTP/1.1 connection that is opened again when the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._line: _Line | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; return status and body. OSError or ValueError when the connection breaks off."""
        if self._line is None or self._line.closed:
            loop = asyncio.get_running_loop()
            _, self._line = await loop.create_connection(_Line, self._host, self._port)
        return await self._line.ask(request)

    def close(self) -> None:
        """The next request opens another one."""
        if self._line:
            self._line.close()
        self._line = None


class _Line(asyncio.Protocol):
    """What a connection has from its opening to its end. Without streams and with a parser in C: the CPUs are the
    server's."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parser, self._body = httptools.HttpResponseParser(self), bytearray()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        assert self._transport  # noqa: S101 - asyncio has called connection_made
        self._answer, self._body = asyncio.get_running_loop().create_future(), bytearray()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self.closed = True
        if self._transport:
            self._transport.close()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._break_off(ValueError(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        self._break_off(error or ConnectionResetError("the server closed the connection before its answer was whole"))

    # what the parser calls

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), bytes(self._body)))

    def _break_off(self, error: Exception) -> None:
        self.close()
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)


async def load(port: int, requests: Sequence[bytes], concurrency: int, seconds: float) -> Asked:
    """Ask on `concurrency` connections for `seconds`, each beginning elsewhere in `requests`."""
    asked = Asked(seconds)
    begin = time.perf_counter() + _WARM_SECONDS
    end = begin + seconds

    async def client(number: int) -> None:
        connection, first = Connection("127.0.0.1", port), number * len(requests) // concurrency
        await asyncio.sleep(number * _APART_SECONDS)
        for place in itertools.count():
            if place % (_RENEWED_AFTER + number) == 0:
                connection.close()
            if (sent := time.perf_counter()) >= end:
                break
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    status, _ = await connection.ask(requests[(first + place) % len(requests)])
            except BROKEN:
                connection.close()
                status = 0
            done = time.perf_counter()
            if begin <= done < end:
                if status == 200:
                    asked.latencies.append(1000 * (done - sent))
                else:
                    asked.failed += 1
            if status != 200:
                await asyncio.sleep(_FAILED_PAUSE)
        connection.close()

    await asyncio.gather(*(client(number) for number in range(concurrency)))
    return asked


async def counts(port: int, requests: Sequence[bytes], concurrency: int = 4) -> list[int | None]:
    """The count that the server answers for each request, None where it gives none."""
    found: list[int | None] = [None] * len(requests)

    async def client(number: int) -> None:
        connection = Connection("127.0.0.1", port)
        for place in range(number, len(requests), concurrency):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    status, body = await connection.ask(requests[place])
            except BROKEN:
                connection.close()
                continue
            if status == 200:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    found[place] = int(json.loads(body)["count"])
        connection.close()

    await asyncio.gather(*(client(number) for number in range(concurrency)))
    return found


def request(path: str, content_type: str, body: bytes) -> bytes:
    """A whole POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nAccept: application/json\r\n\r\n"
    )
    return head.encode("latin-1") + body


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.serving.load", description=__doc__)
    parser.add_argument("--server", required=True, choices=[server.name for server in SERVERS])
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--photos", required=True, type=Path, help="a folder of JPEG files")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--counts", action="store_true", help="ask about every photo once and print the counts")
    options = parser.parse_args()
    (server,) = (server for server in SERVERS if server.name == options.server)
    photos = [file.read_bytes() for file in sorted(options.photos.glob("*.jpg"))]
    requests = [request(server.path, *server.body(photo)) for photo in photos]
    if options.counts:
        print(json.dumps(uvloop.run(counts(options.port, requests))))
    else:
        print(json.dumps(asdict(uvloop.run(load(options.port, requests, options.concurrency, options.seconds)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
