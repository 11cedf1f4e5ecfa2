"""Remotes that lie, break off, flood, trickle and fall silent, over real sockets."""

import gzip
import socket
import time
import zlib
from importlib import import_module
from typing import Any

import pytest

remotes: Any = import_module("tests.lambda.remotes")

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 400
HOST = remotes.HOST
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
NOT_HTTP = "it does not speak HTTP as it should"
BROKE_OFF = "it broke off before the photo was complete"
FLOODS = "it sends more around the photo than a photo needs"
DAMAGED = "its compressed photo is damaged"


def in_chunks(body: bytes, size: int) -> bytes:
    """The body in chunks, as HTTP writes them."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        remotes.sends(remotes.answer(PHOTO)),
        remotes.sends(OK + b"\r\n", PHOTO),
        remotes.sends(b"HTTP/1.0 200 OK\r\n\r\n", PHOTO),
        remotes.sends(CHUNKED, in_chunks(PHOTO, 1000)),
        remotes.sends(CHUNKED, in_chunks(PHOTO, 300).replace(b"\r\n\r\n", b"\r\nX-Sum: 1\r\n\r\n", -1)),
        remotes.sends(CHUNKED, in_chunks(PHOTO, 70_000).replace(b"\r\n", b";a=b\r\n", 1)),
        remotes.sends(OK + b"transfer-encoding: Chunked\r\n\r\n", in_chunks(PHOTO, 5000)),
        remotes.sends(b"HTTP/1.1 100 Continue\r\n\r\n", remotes.answer(PHOTO)),
        remotes.sends(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3, remotes.answer(PHOTO)),
        remotes.sends(b"HTTP/1.1 102 Processing\r\n\r\n", 0.05, b"HTTP/1.1 100 Go\r\n\r\n", remotes.answer(PHOTO)),
        remotes.sends(remotes.answer(gzip.compress(PHOTO), "200 OK", "Content-Encoding: gzip")),
        remotes.sends(remotes.answer(gzip.compress(PHOTO), "200 OK", "Content-Encoding:  X-GZIP ")),
        remotes.sends(remotes.answer(zlib.compress(PHOTO), "200 OK", "Content-Encoding: deflate")),
        remotes.sends(remotes.answer(zlib.compress(PHOTO, wbits=-15), "200 OK", "Content-Encoding: deflate")),
        remotes.sends(OK + b"Content-Encoding: gzip\r\n" + CHUNKED[len(OK) :], in_chunks(gzip.compress(PHOTO), 7)),
        remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: identity", "Content-Type: text/html")),
        remotes.sends(remotes.answer(PHOTO, "200 OK", f"Content-Length: {len(PHOTO)}")),
        remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Type: multipart/mixed; boundary=x")),
    ],
    ids=range(18),
)  # fmt: skip
def test_a_photo_is_fetched_however_http_allows_to_send_it(client: Any, internet: Any, script: Any) -> None:
    internet.site(HOST, script)
    assert client.get() == PHOTO


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (remotes.sends(), NOT_HTTP),
        (remotes.sends(b"\r\n"), NOT_HTTP),
        (remotes.sends(b"SSH-2.0-OpenSSH_9.6\r\n"), NOT_HTTP),
        (remotes.sends(b"220 mail ESMTP\r\n"), NOT_HTTP),
        (remotes.sends(PHOTO), NOT_HTTP),
        (remotes.sends(b"HTTP/2 200\r\n\r\n", PHOTO), NOT_HTTP),
        (remotes.sends(b"HTTP/1.1 2e2 OK\r\n\r\n"), NOT_HTTP),
        (remotes.sends(b"HTTP/1.1 99 OK\r\n\r\n"), NOT_HTTP),
        (remotes.sends(OK + b"X: y\r\n" * 200), NOT_HTTP),
        (remotes.sends(OK + b"no header\r\nContent-Length: 3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b" folded: x\r\nContent-Length: 3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: 10\r\n\r\nabc"), BROKE_OFF),
        (remotes.sends(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: 3, 3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: -3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: +3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: 0x3\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: 1_0\r\n\r\n0123456789"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: three\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length:\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Content-Length: 3\r\n" + CHUNKED[len(OK) :], in_chunks(b"abc", 3)), NOT_HTTP),
        (remotes.sends(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", in_chunks(b"abc", 3)), NOT_HTTP),
        (remotes.sends(OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n", in_chunks(b"abc", 3)), NOT_HTTP),
        (remotes.sends(OK + b"Transfer-Encoding: identity\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(OK + b"Transfer-Encoding: xchunked\r\n\r\nabc"), NOT_HTTP),
        (remotes.sends(CHUNKED + b"ff\r\nabc"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"3\r\nabc\r\n"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"zz\r\n"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"\r\n\r\n"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"-1\r\nabc"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"-5\r\nabc"), NOT_HTTP),
        (remotes.sends(CHUNKED + b"3\r\nabc\r\n-5\r\nabc"), NOT_HTTP),
        (remotes.sends(CHUNKED + b"f" * 2000 + b"\r\nabc"), BROKE_OFF),
        (remotes.sends(CHUNKED + b"1;" + b"x" * 70_000 + b"\r\na\r\n0\r\n\r\n"), NOT_HTTP),
        (remotes.sends(remotes.answer(b"x", "200 OK", "Content-Encoding: gzip")), BROKE_OFF),
        (remotes.sends(remotes.answer(b"", "200 OK", "Content-Encoding: gzip")), BROKE_OFF),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: gzip")), DAMAGED),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: deflate")), DAMAGED),
        (remotes.sends(remotes.answer(gzip.compress(PHOTO)[:-9], "200 OK", "Content-Encoding: gzip")), BROKE_OFF),
        (remotes.sends(remotes.answer(gzip.compress(PHOTO) + b"x", "200 OK", "Content-Encoding: gzip")), DAMAGED),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: br")), "in a way that was not asked for"),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: zstd")), "in a way that was not asked for"),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", "Content-Encoding: gzip, gzip")), "was not asked for"),
        (remotes.sends(remotes.answer(PHOTO, "200 OK", *["Content-Encoding: gzip"] * 2)), "was not asked for"),
    ],
)  # fmt: skip
def test_what_a_remote_does_wrong_is_named(client: Any, internet: Any, script: Any, reason: str) -> None:
    site = internet.site(HOST, script)
    detail = client.refused("fetch_failed")
    assert detail.startswith(f"{HOST} could not be fetched from: ")
    assert detail.endswith(reason)
    assert len(site.requests) == 1, "a remote is asked once"


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "url_not_found"), (410, "url_not_found")]
    + [(status, "remote_status") for status in (101, 201, 204, 206, 400, 401, 403, 407, 416, 429, 500, 502, 503, 999)],
)
def test_a_status_other_than_200_is_named(client: Any, internet: Any, status: int, code: str) -> None:
    internet.site(HOST, remotes.sends(f"HTTP/1.1 {status} secret\r\nRetry-After: 1\r\n\r\nsecret".encode()))
    detail = client.refused(code)
    assert str(status) in detail
    assert "secret" not in detail


def test_what_comes_after_the_announced_length_is_not_the_photo(client: Any, internet: Any) -> None:
    internet.site(HOST, remotes.sends(remotes.answer(PHOTO) + b"HTTP/1.1 200 OK\r\n\r\nmore" * 1000))
    assert client.get() == PHOTO


def bomb(encoding: str, wbits: int) -> Any:
    """A script that sends 100 KB that unpack to 100 MB; packing takes a while, so it is done when asked for."""

    def script(connection: socket.socket, request: bytes) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
        packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
        remotes.sends(OK + b"Content-Encoding: %s\r\n\r\n" % encoding.encode(), packed)(connection, request)

    return script


@pytest.mark.parametrize(
    "script",
    [
        remotes.sends(OK + b"Content-Length: 2000\r\n\r\n"),
        remotes.sends(OK + b"Content-Length: 999999999999999999\r\n\r\n"),
        remotes.sends(OK + b"\r\n", b"x" * 1001),
        remotes.sends(CHUNKED, in_chunks(b"x" * 1001, 100)),
        remotes.drips(OK + b"\r\n", b"x" * 1000, 0.0),
        remotes.drips(CHUNKED, b"64\r\n" + b"x" * 100 + b"\r\n", 0.0),
        remotes.drips(CHUNKED + b"ffffffffffff\r\n", b"x" * 5000, 0.0),
        bomb("gzip", 31),
        bomb("deflate", 15),
        bomb("deflate", -15),
        remotes.sends(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"x" * 1001)),
    ],
    ids=["announced", "announced absurdly", "one more", "chunks", "endless", "endless chunks", "endless chunk", "gzip",
         "deflate", "raw deflate", "one more, packed"],
)  # fmt: skip
def test_too_many_bytes_are_refused_without_reading_them_all(client: Any, internet: Any, script: Any) -> None:
    internet.site(HOST, script)
    detail = client.refused("too_large", max_bytes=1000)
    assert detail == "the photo has more than 1000 bytes; send it smaller"


@pytest.mark.parametrize("packed", [False, True])
def test_as_many_bytes_as_allowed_are_fetched(client: Any, internet: Any, packed: bool) -> None:
    body, headers = b"x" * 1000, []
    if packed:
        headers = ["Content-Encoding: gzip"]
    internet.site(HOST, remotes.sends(remotes.answer(gzip.compress(body) if packed else body, "200 OK", *headers)))
    assert client.get(max_bytes=1000) == body


def test_a_photo_of_the_largest_size_is_fetched_whole(client: Any, internet: Any) -> None:
    body = bytes(range(256)) * (client.module.MAX_BYTES // 256)
    internet.site(HOST, remotes.sends(CHUNKED, in_chunks(body, 256)))
    assert client.get(seconds=20) == body


@pytest.mark.parametrize(
    "script",
    [
        remotes.drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.0),
        remotes.drips(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0.0),
        remotes.drips(b"HTTP/1.1 100 Continue\r\n", b"X: " + b"y" * 60_000 + b"\r\n", 0.0),
        remotes.drips(OK, b"X: " + b"y" * 60_000 + b"\r\n", 0.0),
        remotes.drips(CHUNKED + b"3\r\nabc\r\n0\r\n", b"X-Trailer: x\r\n" * 1000, 0.0),
        remotes.drips(CHUNKED, b"1;" + b"x" * 60_000 + b"\r\na\r\n", 0.0),
        remotes.drips(OK + b"Content-Encoding: deflate\r\n\r\n", b"\x00\x00\x00\xff\xff" * 1000, 0.0),
        remotes.drips(CHUNKED, b"-1\r\n" * 1000, 0.0),
    ],
    ids=["100", "103", "headers of 100", "headers", "trailers", "chunk extensions", "empty blocks", "chunk of size -1"],
)
def test_a_flood_around_the_photo_is_cut_off_long_before_the_deadline(client: Any, internet: Any, script: Any) -> None:
    internet.site(HOST, script)
    began = time.perf_counter()
    assert client.refused("fetch_failed", seconds=20, max_bytes=100_000).endswith(FLOODS)
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    "script",
    [
        remotes.drips(b"", b"H", 0.05),
        remotes.drips(b"HTTP/1.1 ", b"2", 0.05),
        remotes.drips(OK, b"X: y\r\n", 0.05),
        remotes.drips(OK, b"X", 0.05),
        remotes.drips(OK + b"Content-Length: 5000\r\n\r\n", b"x", 0.05),
        remotes.drips(OK + b"\r\n", b"x", 0.05),
        remotes.drips(CHUNKED, b"1\r\nx\r\n", 0.05),
        remotes.drips(CHUNKED, b"0", 0.05),
        remotes.drips(CHUNKED + b"0\r\n", b"X: y\r\n", 0.05),
        remotes.drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        remotes.drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05),
        remotes.drips(OK + b"Content-Encoding: deflate\r\n\r\n", b"\x00\x00\x00\xff\xff", 0.05),
        remotes.sends(0.7),
        remotes.sends(OK, 0.7),
        remotes.sends(OK + b"Content-Length: 5000\r\n\r\n", b"x" * 100, 0.7),
    ],
    ids=["first byte", "status", "headers", "one header", "body", "body without a length", "chunks", "chunk size",
         "trailers", "100", "103", "packed", "silence", "silence in the head", "silence in the body"],
)  # fmt: skip
def test_a_slow_remote_is_cut_off_at_the_deadline(client: Any, internet: Any, script: Any) -> None:
    internet.site(HOST, script)
    began = time.perf_counter()
    assert client.refused("fetch_timeout", seconds=0.4) == f"{HOST} did not deliver the photo in time"
    assert time.perf_counter() - began < 5


def test_a_remote_that_does_not_take_the_request_is_cut_off(client: Any, internet: Any) -> None:
    internet.name(HOST, [remotes.PUBLIC])

    class Full:
        """A connection whose other side reads nothing."""

        limit = None
        closed = False

        def settimeout(self, seconds: float) -> None:
            self.limit = seconds

        def sendall(self, _data: bytes) -> None:
            raise TimeoutError

        def close(self) -> None:
            self.closed = True

    connection = Full()
    client.refused("fetch_timeout", seconds=1.0, connector=lambda *_: connection)
    assert 0 < connection.limit <= 1.0
    assert connection.closed
