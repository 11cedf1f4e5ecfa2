"""Whatever bytes a remote sends, the fetch ends in a photo or in one of its own problems."""

import contextlib
import gzip
import socket
import zlib
from importlib import import_module
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

remotes: Any = import_module("tests.lambda.remotes")

MAX_BYTES = 500
CODES = {
    "address_not_public", "bad_redirect", "fetch_failed", "fetch_timeout", "host_not_found", "remote_status",
    "too_large", "url_not_found",
}  # fmt: skip

# Mostly HTTP, so that what lies behind its first line is reached.
STATUSES = st.sampled_from([200, 200, 200, 200, 302, 302, 100, 103, 204, 301, 304, 404, 500, 0, 99, 1000])
LINES = st.builds("HTTP/{} {} {}".format, st.sampled_from(["1.1"] * 8 + ["1.0", "0.9", "2"]), STATUSES, st.just("OK"))
LENGTHS = st.integers(-2, 700).map(str) | st.sampled_from(["", "1_0", "+3", "0x3", "3, 3", "9" * 5000])
PLACES = (
    "/2.jpg ../3.jpg ?x http://127.0.0.1/ //10.0.0.1/ http://[::1]/ file:/// http://other.example.com/ http://0x7f.1/"
)
HEADERS = st.lists(
    st.builds("Content-Length: {}".format, LENGTHS)
    | st.just("Transfer-Encoding: chunked")
    | st.sampled_from(PLACES.split()).map("Location: {}".format)
    | st.sampled_from(["gzip", "deflate", "identity", "br"]).map("Content-Encoding: {}".format)
    | st.sampled_from(["message/rfc822", "multipart/mixed; boundary=x"]).map("Content-Type: {}".format)
    | st.sampled_from(
        [" folded", "no header", "X\x00: y", "Connection: keep-alive", "Transfer-Encoding: gzip, chunked"]
    ),
    max_size=3,
)
HEADS = st.builds(lambda line, headers: "\r\n".join([line, *headers, "", ""]).encode(), LINES, HEADERS)
SIZES = st.integers(-2, 40).map("{:x}".format) | st.sampled_from(["zz", "", "f" * 100, "1;a=b"])
CHUNKS = st.lists(st.binary(max_size=40).map(lambda part: b"%x\r\n%s\r\n" % (len(part), part)), max_size=5)
LIES = st.lists(st.builds(lambda size, part: size.encode() + b"\r\n" + part, SIZES, st.binary(max_size=40)), max_size=3)
PACKED = st.binary(max_size=700).map(gzip.compress) | st.binary(max_size=700).map(zlib.compress)
BODIES = st.binary(max_size=700) | CHUNKS.map(b"".join) | LIES.map(b"".join) | PACKED
ANSWERS = st.tuples(HEADS, BODIES).map(b"".join) | st.binary(max_size=100)


@given(answers=st.lists(ANSWERS, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=1000, deadline=None)
def test_any_bytes_end_in_a_photo_or_a_problem(client: Any, answers: list[bytes]) -> None:
    internet = remotes.Internet()
    internet.name(remotes.HOST, [remotes.PUBLIC])
    internet.name("other.example.com", [remotes.PUBLIC, "::1"])
    ours = contextlib.ExitStack()

    def connector(address: str, port: int, timeout: float) -> socket.socket:
        with contextlib.suppress(ConnectionRefusedError):
            internet.connector(address, port, timeout)
        near, far = socket.socketpair()
        ours.enter_context(near)
        far.sendall(answers[min(len(internet.connected), len(answers)) - 1])
        far.shutdown(socket.SHUT_WR)
        ours.enter_context(far)
        return near

    with ours:
        try:
            photo = client.get(resolver=internet.resolver, connector=connector, max_bytes=MAX_BYTES)
        except client.problem as problem:
            assert problem.code in CODES  # noqa: PT017
        else:
            assert len(photo) <= MAX_BYTES
    assert internet.inside == []
    assert len(internet.connected) <= 4
