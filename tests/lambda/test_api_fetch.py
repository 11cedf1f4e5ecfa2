"""Fetching from real sockets: what comes back, what is refused, and that nothing takes longer than the deadline."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

remotes: Any = import_module("tests.lambda.remotes")

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 400


@pytest.fixture
def module(load: Any) -> Any:
    (fetch,) = load("api", "fetch")
    return fetch


@pytest.fixture
def fetch_from(module: Any) -> Iterator[Callable[..., bytes]]:
    """`fetch_from(script, url, **settings of Fetcher)` fetches from a remote that runs the script."""
    open_remotes = []

    def fetch(script: Any, url: str = "http://photos.example.com/1.jpg", context: Any = None, **given: Any) -> bytes:
        remote = remotes.Remote(script, context)
        open_remotes.append(remote)
        settings = {
            "allow_http": True,
            "seconds": 2.0,
            "resolver": points_to(remotes.PUBLIC),
            "connector": remote.connect,
            **given,
        }
        fetch.remote = remote  # type: ignore[attr-defined]
        return bytes(module.Fetcher(**settings).fetch(url))

    yield fetch
    for remote in open_remotes:
        remote.close()


def points_to(*addresses: str) -> Callable[[str, int], list[str]]:
    """A resolver that gives these addresses for every name."""
    return lambda *_: list(addresses)


def refused(module: Any, call: Callable[..., Any], *arguments: Any) -> Any:
    """What `call` is refused with."""
    with pytest.raises(module.ProblemError) as caught:
        call(*arguments)
    return caught.value


def test_a_photo_is_fetched(fetch_from: Any) -> None:
    url = "http://photos.example.com/1.jpg?X-Signature=a%2Fb"
    assert fetch_from(remotes.sends(remotes.answer(PHOTO)), url) == PHOTO
    (request,) = fetch_from.remote.requests
    assert request.startswith(b"GET /1.jpg?X-Signature=a%2Fb HTTP/1.1\r\n")
    assert b"\r\nHost: photos.example.com\r\n" in request
    assert b"\r\nAccept-Encoding: identity\r\n" in request


def test_a_photo_in_chunks_and_one_without_a_length_are_fetched(fetch_from: Any) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert fetch_from(remotes.sends(chunked)) == b"abcde"
    assert fetch_from(remotes.sends(b"HTTP/1.1 200 OK\r\n\r\n", PHOTO)) == PHOTO


def test_over_tls_the_certificate_must_be_the_hosts(fetch_from: Any, module: Any, tmp_path: Path) -> None:
    pem = remotes.certificate(tmp_path, "photos.example.com")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=pem)
    script = remotes.sends(remotes.answer(PHOTO))

    def fetch(url: str, **given: Any) -> bytes:
        return bytes(fetch_from(script, url, context=server, allow_http=False, **given))

    assert fetch("https://photos.example.com/1.jpg", tls=lambda: trusting) == PHOTO
    assert asked == ["photos.example.com"]
    other = refused(module, lambda: fetch("https://other.example.com/1.jpg", tls=lambda: trusting))
    assert (other.status, other.code) == (424, "fetch_failed")
    assert "its certificate is not valid: Hostname mismatch" in other.detail
    unknown = refused(module, lambda: fetch("https://photos.example.com/1.jpg"))
    assert "its certificate is not valid: self-signed certificate" in unknown.detail


def test_a_remote_without_tls_is_named(fetch_from: Any, module: Any) -> None:
    script = remotes.sends(remotes.answer(PHOTO))
    problem = refused(module, lambda: fetch_from(script, "https://photos.example.com/1.jpg"))
    assert (problem.status, problem.code) == (424, "fetch_failed")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["fe80::1%eth0"],
        [remotes.PUBLIC, "10.0.0.1"],
        ["10.0.0.1", remotes.PUBLIC],
    ],
    ids=str,
)
def test_a_host_that_is_inside_is_not_connected_to(module: Any, addresses: list[str]) -> None:
    def connector(*_: Any) -> socket.socket:
        raise AssertionError("connected")

    fetcher = module.Fetcher(resolver=points_to(*addresses), connector=connector)
    problem = refused(module, lambda: fetcher.fetch("https://photos.example.com/1.jpg"))
    assert (problem.status, problem.code) == (403, "address_not_public")
    assert problem.detail == "the host photos.example.com is not on the public internet; upload the photo"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "10.0.0.1"])
def test_the_systems_own_resolver_leads_nowhere_inside(module: Any, host: str) -> None:
    problem = refused(module, lambda: module.Fetcher(seconds=5).fetch(f"https://{host}/latest/meta-data/"))
    assert (problem.status, problem.code) == (403, "address_not_public")


def test_a_name_is_resolved_once_and_that_address_is_connected_to(module: Any) -> None:
    answers = iter([[remotes.PUBLIC], ["127.0.0.1"]])  # a name that points elsewhere the second time
    connected: list[str] = []
    remote = remotes.Remote(remotes.sends(remotes.answer(PHOTO)))

    def connector(address: str, port: int, timeout: float) -> socket.socket:
        connected.append(address)
        connection: socket.socket = remote.connect(address, port, timeout)
        return connection

    fetcher = module.Fetcher(allow_http=True, resolver=lambda *_: next(answers), connector=connector)
    assert fetcher.fetch("http://photos.example.com/1.jpg") == PHOTO
    assert connected == [remotes.PUBLIC]
    remote.close()


def test_an_address_that_does_not_answer_is_passed_over(module: Any) -> None:
    remote = remotes.Remote(remotes.sends(remotes.answer(PHOTO)))
    allowed: list[float] = []

    def connector(address: str, port: int, timeout: float) -> socket.socket:
        allowed.append(timeout)
        if address == "1.1.1.1":
            raise TimeoutError
        connection: socket.socket = remote.connect(address, port, timeout)
        return connection

    fetcher = module.Fetcher(
        allow_http=True, seconds=4, resolver=points_to("1.1.1.1", remotes.PUBLIC), connector=connector
    )
    assert fetcher.fetch("http://photos.example.com/1.jpg") == PHOTO
    assert allowed[0] <= 2.0 < allowed[1] <= 4.0
    remote.close()


@pytest.mark.parametrize(
    ("script", "code", "detail"),
    [
        (remotes.sends(remotes.answer(b"", "404 Not Found")), "remote_status", "answered 404 instead of the photo"),
        (remotes.sends(remotes.answer(b"", "500 No")), "remote_status", "answered 500"),
        (
            remotes.sends(remotes.answer(b"", "302 Found", "Location: http://169.254.169.254/")),
            "redirect",
            "redirects (302); give the URL of the photo itself",
        ),
        (remotes.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "fetch_failed", "broke off before"),
        (
            remotes.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"),
            "fetch_failed",
            "broke off before",
        ),
        (remotes.sends(b"SSH-2.0-OpenSSH_9.6\r\n"), "fetch_failed", "does not speak HTTP as it should"),
        (remotes.sends(), "fetch_failed", "does not speak HTTP"),
        (
            remotes.sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "fetch_failed",
            "could not be fetched from",
        ),
        (remotes.sends(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200), "fetch_failed", "does not speak HTTP"),
    ],
    ids=["404", "500", "redirect", "too short", "chunk too short", "ssh", "nothing", "bad chunk", "many headers"],
)
def test_what_a_remote_does_wrong_is_named(fetch_from: Any, module: Any, script: Any, code: str, detail: str) -> None:
    problem = refused(module, lambda: fetch_from(script))
    assert (problem.status, problem.code) == (424, code)
    assert detail in problem.detail
    assert len(fetch_from.remote.requests) == 1, "no redirect is followed"


def test_a_refused_connection_and_an_unknown_host_are_named(module: Any) -> None:
    def no_connection(*_: Any) -> socket.socket:
        raise ConnectionRefusedError

    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror

    known = module.Fetcher(resolver=points_to(remotes.PUBLIC), connector=no_connection)
    problem = refused(module, lambda: known.fetch("https://photos.example.com/1.jpg"))
    assert problem.detail == "photos.example.com could not be fetched from: the connection failed"
    for resolver in (unknown, points_to()):
        problem = refused(module, module.Fetcher(resolver=resolver).fetch, "https://photos.example.com/")
        assert (problem.status, problem.code) == (424, "host_not_found")


@pytest.mark.parametrize(
    "script",
    [
        remotes.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"),
        remotes.sends(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001),
        remotes.drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n", 0.0),
    ],
    ids=["announced", "without a length", "endless chunks"],
)
def test_too_many_bytes_are_refused_without_reading_them_all(fetch_from: Any, module: Any, script: Any) -> None:
    problem = refused(module, lambda: fetch_from(script, max_bytes=1000))
    assert (problem.status, problem.code) == (413, "too_large")


def test_as_many_bytes_as_allowed_are_fetched(fetch_from: Any) -> None:
    assert len(fetch_from(remotes.sends(remotes.answer(b"x" * 1000)), max_bytes=1000)) == 1000


@pytest.mark.parametrize(
    "script",
    [
        remotes.drips(b"", b"H", 0.05),
        remotes.drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.05),
        remotes.drips(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x", 0.05),
        remotes.drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.05),
        remotes.drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        remotes.sends(3.0),
    ],
    ids=["status line", "headers", "body", "chunks", "continue for ever", "silence"],
)
def test_a_slow_remote_is_cut_off_at_the_deadline(fetch_from: Any, module: Any, script: Any) -> None:
    began = time.perf_counter()
    problem = refused(module, lambda: fetch_from(script, seconds=0.5))
    assert (problem.status, problem.code) == (504, "fetch_timeout")
    assert time.perf_counter() - began < 1.5


def test_a_slow_handshake_and_a_slow_resolver_are_cut_off_too(fetch_from: Any, module: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))  # accepts in the kernel, and never speaks

    def connector(_address: str, _port: int, timeout: float) -> socket.socket:
        return socket.create_connection(listener.getsockname(), timeout)

    def slow(host: str, port: int) -> list[str]:
        time.sleep(1.5)
        return [remotes.PUBLIC]

    silent = module.Fetcher(seconds=0.5, resolver=points_to(remotes.PUBLIC), connector=connector)
    for fetcher in (silent, module.Fetcher(seconds=0.5, resolver=slow)):
        began = time.perf_counter()
        problem = refused(module, fetcher.fetch, "https://photos.example.com/1.jpg")
        assert (problem.status, problem.code) == (504, "fetch_timeout")
        assert time.perf_counter() - began < 1.2
    listener.close()
