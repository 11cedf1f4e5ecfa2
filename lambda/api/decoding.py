"""Undoes the compression of a body, as far as a photo may reach and no further."""

import zlib
from collections.abc import Iterable, Iterator

from wire import RemoteError, TooManyBytesError

_GZIP = zlib.MAX_WBITS | 16
_PLAIN = ("", "identity")


def decode(chunks: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """The body in `chunks`, which came with that Content-Encoding.

    gzip and deflate (with zlib's header or without) are undone. No more than `max_bytes` and one are ever made of it,
    whatever it would unpack to. TooManyBytesError for more of them, RemoteError for what is damaged, cut off, followed
    by something else, or encoded otherwise.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        parts: Iterable[bytes] = chunks
    elif name in ("gzip", "x-gzip", "deflate"):
        parts = _inflate(chunks, name, max_bytes)
    else:
        raise RemoteError("it encodes the photo in a way that was not asked for")
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > max_bytes:
            raise TooManyBytesError
    return bytes(body)


def _inflate(chunks: Iterable[bytes], name: str, max_bytes: int) -> Iterator[bytes]:
    inflater = None
    start = b""
    left = max_bytes + 1  # one more than may come out is enough to know
    for chunk in chunks:
        rest = start + chunk
        if inflater is None:
            if len(rest) < 2:
                start = rest
                continue
            inflater = zlib.decompressobj(_GZIP if name != "deflate" else _window(rest))
            start = b""
        try:
            part = inflater.decompress(rest, left)
        except zlib.error:
            raise RemoteError("its compressed photo is damaged") from None
        left -= len(part)
        yield part
        if not left:
            return
        if inflater.unused_data:
            raise RemoteError("its compressed photo is damaged")
    if inflater is None or not inflater.eof:
        raise RemoteError("it broke off before the photo was complete")


def _window(start: bytes) -> int:
    """Window bits for zlib: positive where the first two bytes are zlib's header (RFC 1950)."""
    header = start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if header else -zlib.MAX_WBITS
