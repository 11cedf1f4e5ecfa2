"""One question to a remote and its answer. http.client reads; what it would let pass is refused here."""

import http.client
import re
from collections.abc import Iterator
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect

from decoding import decode
from urls import Target
from wire import RemoteError, TooManyBytesError, Wire

_CHUNK = 64 * 1024
_HEAD_BYTES = 64 * 1024  # of status lines and headers, interim answers included
_FRAMING_BYTES = 256 * 1024  # of chunk sizes and trailers: chunks of 256 bytes need less
_LENGTH = re.compile("[0-9]{1,18}")
_NO_HEADER = (FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect)
_ACCEPT = "image/jpeg, image/png, image/webp, */*;q=0.1"  # the last for hosts that label photos as something else
_NOT_HTTP = "it does not speak HTTP as it should"


def ask(wire: Wire, target: Target) -> http.client.HTTPResponse:
    """Ask for the target and read the head of the answer, past interim ones (1xx).

    RemoteError or http.client.HTTPException for what is not HTTP, OSError and TimeoutError from the connection.
    """
    wire.allow(_HEAD_BYTES)
    client = http.client.HTTPConnection(target.host, target.port)
    client.sock = wire
    headers = {"Host": target.host_header, "User-Agent": "tally", "Accept": _ACCEPT, "Connection": "close"}
    client.request("GET", target.path, headers=headers)
    while True:
        response = http.client.HTTPResponse(wire, method="GET")  # type: ignore[arg-type]  # it calls makefile only
        response.begin()
        if any(isinstance(defect, _NO_HEADER) for defect in response.headers.defects):
            raise RemoteError(_NOT_HTTP)
        if not 101 < response.status < 200:
            return response
        response.fp = None  # type: ignore[assignment]  # or it closes the wire's buffer when it is forgotten


def read_body(wire: Wire, response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The body, with its compression undone.

    TooManyBytesError for more than `max_bytes`, announced, sent, or unpacked; RemoteError or HTTPException for a body
    that is damaged, incomplete or of a length that can be read in two ways.
    """
    _check_framing(response)
    if response.length is not None and response.length > max_bytes:
        raise TooManyBytesError
    wire.allow(max_bytes + _FRAMING_BYTES)
    encoding = ", ".join(response.headers.get_all("Content-Encoding", []))
    return decode(_chunks(response), encoding, max_bytes)


def _check_framing(response: http.client.HTTPResponse) -> None:
    transfers = response.headers.get_all("Transfer-Encoding", [])
    lengths = {length.strip(" \t") for length in response.headers.get_all("Content-Length", [])}
    if transfers and (lengths or len(transfers) > 1 or not response.chunked):
        raise RemoteError(_NOT_HTTP)
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise RemoteError(_NOT_HTTP)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except ValueError:  # http.client takes the size of a chunk to be any number, even a negative one
        raise RemoteError(_NOT_HTTP) from None
    if response.length:  # more was promised than came
        raise http.client.IncompleteRead(b"", response.length)
