"""When the client asks again, how long it waits, and when it gives up."""

import itertools
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_client import ApiProblem, Client, NoAnswer, UnexpectedAnswer
from tally_client.waiting import Budget, retry_after
from tests.clients.conftest import KEY
from tests.clients.server import ANSWER, Server, answer, problem


def asked(tally: Client) -> int:
    return tally.predict(s3_uri="s3://b/k", idempotency_key="k-1").count


@pytest.mark.parametrize(
    ("status", "code"), [(429, "throttled"), (502, "failed"), (503, "busy"), (504, "timeout")], ids=lambda v: str(v)
)
def test_what_may_pass_is_asked_again(
    server: Server, tally: Client, waits: list[float], status: int, code: str
) -> None:
    server.scripts = [problem(status, code), problem(status, code), answer()]
    assert asked(tally) == 3
    assert len(waits) == 2
    assert len({(request.body, request.headers["idempotency-key"]) for request in server.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422, 424, 500])
def test_what_stays_is_not_asked_again(server: Server, tally: Client, waits: list[float], status: int) -> None:
    server.scripts = [problem(status, "some_code")]
    with pytest.raises(ApiProblem):
        asked(tally)
    assert (len(server.requests), waits) == (1, [])


def test_after_so_many_tries_the_problem_is_raised(server: Server, waits: list[float]) -> None:
    server.scripts = [problem(503, "busy")]
    with Client(server.url, KEY, retries=2) as tally, pytest.raises(ApiProblem) as caught:
        asked(tally)
    assert (len(server.requests), len(waits)) == (3, 2)
    assert caught.value.__notes__ == ["tried 3 times"]


def test_without_retries_one_try_is_all(server: Server) -> None:
    server.scripts = [problem(503, "busy")]
    with Client(server.url, KEY, retries=0) as tally, pytest.raises(ApiProblem):
        asked(tally)
    assert len(server.requests) == 1


def test_retry_after_is_kept(server: Server, tally: Client, waits: list[float]) -> None:
    server.scripts = [problem(429, "throttled", retry_after="2"), answer()]
    assert asked(tally) == 3
    assert 2 <= waits[0] <= 2.25


def test_a_wait_that_is_too_long_is_the_callers(server: Server, tally: Client, waits: list[float]) -> None:
    server.scripts = [problem(429, "quota", retry_after="3600")]
    with pytest.raises(ApiProblem) as caught:
        asked(tally)
    assert (caught.value.retry_after, len(server.requests), waits) == (3600, 1, [])


def test_waits_are_really_waited(server: Server) -> None:
    server.scripts = [problem(503, "busy", retry_after="1"), answer()]
    began = time.monotonic()
    with Client(server.url, KEY) as tally:
        assert asked(tally) == 3
    assert 1 <= time.monotonic() - began < 5


def break_off(_connection: socket.socket) -> None:
    """Close without an answer."""


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def half(connection: socket.socket) -> None:
    connection.sendall(answer()[:-20])


def half_a_chunk(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"count"')


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize("script", [break_off, reset, half, half_a_chunk, garbage], ids=lambda f: f.__name__)
def test_a_connection_that_breaks_is_made_anew(
    server: Server, tally: Client, waits: list[float], script: object
) -> None:
    server.scripts = [script, script, answer()]  # type: ignore[list-item]
    assert asked(tally) == 3
    assert len(waits) == 2


def test_a_server_that_is_gone_is_said_with_the_address(waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}/v1", KEY) as tally, pytest.raises(NoAnswer) as caught:
        asked(tally)
    assert str(caught.value) == (
        f"no answer from POST http://127.0.0.1:{port}/v1/predictions: [Errno 111] Connection refused"
    )
    assert len(waits) == 3


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    for _ in range(200):
        time.sleep(0.05)
        connection.sendall(b" ")


@pytest.mark.parametrize("script", [silent, dripping], ids=lambda f: f.__name__)
def test_the_timeout_is_of_the_whole_call(server: Server, script: object) -> None:
    server.scripts = [script]  # type: ignore[list-item]
    began = time.monotonic()
    with Client(server.url, KEY, timeout=0.6, retries=9) as tally, pytest.raises(NoAnswer, match=r"it took too long$"):
        asked(tally)
    assert 0.5 < time.monotonic() - began < 6


def test_a_page_of_a_proxy_is_tried_again_and_then_said(server: Server, tally: Client, waits: list[float]) -> None:
    server.scripts = [answer(b"<html>bad gateway</html>", 502)]
    with pytest.raises(UnexpectedAnswer) as caught:
        asked(tally)
    assert (caught.value.status, len(waits)) == (502, 3)
    assert str(caught.value) == (
        f"{server.url}predictions answered 502, without a problem of the Tally API; what answered may be a proxy, or "
        "url may lack the stage"
    )


UNEXPECTED = {
    "html": b"<html>",
    "empty": b"",
    "an array": b"[1]",
    "no utf-8": b"\xff\xfe{",
    "half": b'{"count": 3',
    "deep": b"[" * 100_000,
    "no count": {name: value for name, value in ANSWER.items() if name != "count"},
    "a count in words": ANSWER | {"count": "three"},
    "a true count": ANSWER | {"count": True},
    "half an object": ANSWER | {"count": 2.5},
    "no model": ANSWER | {"model": None},
    "the model of an older API": ANSWER | {"model": "tally-dev/7"},
    "four probabilities": ANSWER | {"probabilities": {"1": 1, "2": 0, "3": 0, "4": 0}},
    "an infinite probability": ANSWER | {"confidence": float("inf")},
    "another decision": ANSWER | {"expected_count": 3, "matches": True, "expected_probability": 1, "decision": "maybe"},
    "an expectation without a decision": ANSWER | {"expected_count": 3},
}


@pytest.mark.parametrize("case", UNEXPECTED, ids=lambda case: case.replace(" ", "-"))
def test_an_answer_that_is_none_of_the_api_is_said_so(server: Server, tally: Client, case: str) -> None:
    server.scripts = [answer(UNEXPECTED[case])]
    with pytest.raises(UnexpectedAnswer, match=r"predictions answered 200, but not as its document says: ") as caught:
        asked(tally)
    assert (caught.value.status, len(server.requests)) == (200, 1)


def test_an_answer_without_an_end_is_cut_off(server: Server, tally: Client) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in itertools.count():
            connection.sendall(b"0" * 65536)

    server.scripts = [endless]
    with pytest.raises(UnexpectedAnswer, match="answered with more than 10485760 bytes"):
        asked(tally)


def test_the_rest_of_an_answer_that_was_given_up_is_not_taken_for_the_next_one(server: Server) -> None:
    def long(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10485761\r\n\r\n" + b"0" * 10485761 + answer())
        connection.recv(1)

    server.scripts = [long, answer(ANSWER | {"count": 5})]
    with Client(server.url, KEY) as tally:
        with pytest.raises(UnexpectedAnswer):
            asked(tally)
        assert asked(tally) == 5
    assert server.connections == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("0", 0), ("7", 7), (" 7 ", 7), ("-1", None), ("1.5", None), ("٣", None), ("", None),
     ("Sat, 21 Nov 2026 06:00:00 GMT", None)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


@given(
    seconds=st.floats(0.001, 1000),
    retries=st.integers(0, 20),
    headers=st.lists(st.one_of(st.none(), st.floats(0, 5000)), max_size=30),
)
def test_a_budget_never_waits_past_its_end_nor_less_than_told(
    seconds: float, retries: int, headers: list[float | None]
) -> None:
    budget = Budget(seconds, retries)
    for header in headers:
        before = budget.tries
        waited = budget.wait(header)
        if waited is None:
            assert budget.tries == before
        else:
            assert (header or 0) <= waited <= seconds
            assert waited - (header or 0) <= min(8, 0.25 * 2 ** (before - 1))
            assert budget.tries == before + 1 <= retries + 1
