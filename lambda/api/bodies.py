"""Reads the bodies of AWS's answers."""

from contextlib import closing
from typing import Any

_CHUNK = 64 * 1024


def read_up_to(body: Any, limit: int) -> bytes:
    """The bytes of a botocore stream to its end, or some more than `limit` bytes of a longer one; it is closed.

    Only at its end are length and checksum compared (botocore raises what is wrong) and the connection kept for the
    next request.
    """
    content = bytearray()
    with closing(body):
        while len(content) <= limit and (chunk := body.read(_CHUNK)):
            content += chunk
    return bytes(content)
