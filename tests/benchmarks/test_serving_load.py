"""The clients of `make bench-serving`, against servers whose answers are known."""

import asyncio
import json
import statistics
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from benchmarks.serving.load import Asked, counts, load, request

Answer = Callable[[bytes], tuple[int, bytes]]
PHOTOS = [request("/invocations", "image/jpeg", bytes([count])) for count in range(1, 6)]


class Server:
    """Answers on the loopback interface after `delay` seconds what `answer` says of a request's body."""

    def __init__(self, answer: Answer, delay: float = 0.0, *, chunked: bool = False, keeps: bool = True) -> None:
        self.answer, self.delay, self.chunked, self.keeps = answer, delay, chunked, keeps
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := (await reader.readline()).decode():
            assert head.startswith("POST /invocations ")
            length = 0
            while (line := await reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            status, body = self.answer(await reader.readexactly(length))
            await asyncio.sleep(self.delay)
            if not status:
                break
            how = b"Transfer-Encoding: chunked" if self.chunked else b"Content-Length: %d" % len(body)
            sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if self.chunked else body
            close = b"" if self.keeps else b"Connection: close\r\n"
            writer.write(b"HTTP/1.1 %d x\r\n%s\r\n%s\r\n" % (status, how, close) + sent)
            if not self.keeps:
                break
        writer.close()


def ask(server: Callable[..., Coroutine[Any, Any, None]], what: Callable[[int], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        listening = await asyncio.start_server(server, "127.0.0.1", 0)
        async with listening:
            return await what(listening.sockets[0].getsockname()[1])

    return asyncio.run(run())


def counted(body: bytes) -> tuple[int, bytes]:
    return 200, json.dumps({"count": body[0]}).encode()


def test_latency_is_that_of_the_server_and_connections_are_kept_for_a_while() -> None:
    server = Server(counted, delay=0.05)
    found: Asked = ask(server, lambda port: load(port, PHOTOS, 4, 1.0))
    assert found.failed == 0
    assert 50 <= statistics.median(found.latencies) < 150
    assert 4 * 1000 / 150 < len(found.latencies) <= 4 * 1000 / 50 + 4
    assert 4 <= server.connections <= 8, "renewed after 20 requests or more"


def test_only_answers_with_200_are_answers() -> None:
    found: Asked = ask(Server(lambda _: (503, b"busy"), delay=0.02), lambda port: load(port, PHOTOS, 2, 0.5))
    assert not found.latencies
    assert 5 < found.failed <= 2 * (0.5 / 0.02 + 1)


@pytest.mark.parametrize("broken", [b"", b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", b"no HTTP\r\n\r\n"])
def test_an_answer_that_breaks_off_is_none(broken: bytes) -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(broken)
        writer.close()

    found: Asked = ask(breaks_off, lambda port: load(port, PHOTOS, 2, 0.3))
    assert (found.latencies, found.failed > 3) == ([], True)
    assert ask(breaks_off, lambda port: counts(port, PHOTOS)) == [None] * 5


@pytest.mark.parametrize(("chunked", "keeps"), [(True, True), (False, False), (True, False)])
def test_counts_come_back_in_the_order_of_the_photos(chunked: bool, keeps: bool) -> None:
    server = Server(counted, chunked=chunked, keeps=keeps)
    assert ask(server, lambda port: counts(port, PHOTOS)) == [1, 2, 3, 4, 5]
    assert server.connections == (4 if keeps else 5)


def test_a_photo_without_an_answer_has_no_count() -> None:
    answers = {1: (200, b'{"count": 1}'), 2: (500, b"{}"), 3: (200, b"not JSON"), 4: (200, b"{}"), 5: (0, b"")}
    server = Server(lambda body: answers[body[0]])
    assert ask(server, lambda port: counts(port, PHOTOS, concurrency=1)) == [1, None, None, None, None]
