"""A connection that waits no longer than a deadline and takes in no more bytes than it was allowed."""

import io
import socket
from typing import Any

from deadline import Deadline

_BUFFER = 64 * 1024


class RemoteError(Exception):
    """The remote does not do as it should. The text completes "HOST could not be fetched from: "."""


class TooManyBytesError(Exception):
    """The remote sends more than a photo may have."""


class Wire:
    """A socket as http.client uses one.

    Each read may take what is left of the deadline, so that a remote which sends a byte now and then is cut off all
    the same. Bytes are counted as they leave the socket: status lines, headers, chunk sizes and trailers too. Those of
    the encryption itself are not; the deadline bounds them.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._reader = _Reader(connection, deadline)
        # One buffer for the whole connection: what is read ahead of one answer belongs to the next.
        self._buffer = io.BufferedReader(self._reader, _BUFFER)

    def allow(self, count: int) -> None:
        """Let `count` more bytes come in."""
        self._reader.allowed += count

    def sendall(self, data: Any) -> None:
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> "io.BufferedReader[_Reader]":
        return self._buffer

    def close(self) -> None:
        """The connection is closed by who opened it."""


class _Reader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self.allowed = 0
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.allowed <= 0:
            raise RemoteError("it sends more around the photo than a photo needs")
        self._connection.settimeout(self._deadline.left())
        count = self._connection.recv_into(memoryview(buffer)[: self.allowed])
        self.allowed -= count
        return count
