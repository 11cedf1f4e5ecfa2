"""Bytes are counted as they leave the socket, and every wait ends at the deadline."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.mark.parametrize("allowed", [1, 5, 70_000])
def test_no_byte_more_than_allowed_leaves_the_socket(load: Any, pair: Any, allowed: int) -> None:
    deadline, wire = load("api", "deadline", "wire")
    near, far = pair
    far.sendall(b"x" * (allowed + 3))
    limited = wire.Wire(near, deadline.Deadline(5))
    with pytest.raises(wire.RemoteError):
        limited.makefile("rb").read(1)  # nothing is allowed at first
    limited.allow(allowed)
    assert limited.makefile("rb").read(allowed) == b"x" * allowed
    with pytest.raises(wire.RemoteError, match="more around the photo"):
        limited.makefile("rb").read(1)
    assert near.recv(10) == b"xxx"


def test_what_is_read_ahead_of_one_answer_belongs_to_the_next(load: Any, pair: Any) -> None:
    deadline, wire = load("api", "deadline", "wire")
    near, far = pair
    far.sendall(b"one\ntwo\n")
    limited = wire.Wire(near, deadline.Deadline(5))
    limited.allow(100)
    assert limited.makefile("rb").readline() == b"one\n"
    assert limited.makefile("rb").readline() == b"two\n"


def test_reading_and_sending_end_at_the_deadline(load: Any, pair: Any) -> None:
    deadline, wire = load("api", "deadline", "wire")
    near, _ = pair
    limited = wire.Wire(near, deadline.Deadline(0.1))
    limited.allow(100)
    with pytest.raises(TimeoutError):
        limited.makefile("rb").read(1)
    with pytest.raises(TimeoutError):
        limited.sendall(b"x")
    sending = wire.Wire(near, deadline.Deadline(0.1))
    with pytest.raises(TimeoutError):
        sending.sendall(bytes(10_000_000))  # nobody reads it
