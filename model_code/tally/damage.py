"""Damage and bombs that Pillow does not see, found in a photo's bytes before its pixels are decoded.

A PNG's checksums: Pillow stops reading when it has all the pixels it needs, and never looks at those of IDAT.
A JPEG's scans: each costs the decoder all pixels and the file only some 50 bytes, and there may be any number of them.
"""

import io
import re
import zlib
from typing import BinaryIO, cast

from tally.errors import TallyError

MAX_SCANS = 64
"""Of one JPEG. Cameras and editors write 1 or about 10; at 50 million pixels a scan costs about 30 ms."""

_SCAN, _END = 0xDA, 0xD9
_SCAN_MARKER = re.compile(rb"\xff\xda")
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""Not among them: a stuffed FF of the pixels, fill, and markers that stand alone."""

_NO_MARKERS = (0x00, 0x01, *range(0xD0, 0xD8))
_BLOCK = 1 << 20


class DamagedError(TallyError):
    """A photo that must not be decoded; the message is a whole sentence for the caller."""


def check_file(file: BinaryIO, format: str | None) -> None:
    """Look through the encoded photo in `file`, of Pillow's `format`; leave the file at the place where it was.

    Raises DamagedError: a PNG that ends early or whose pixels do not match their checksum, a JPEG of more than
    MAX_SCANS scans. OSError when the file cannot be read.
    """
    place = file.tell()
    try:
        if format == "PNG":
            _check_chunks(file)
        elif format in ("JPEG", "MPO") and _appearances(file) > MAX_SCANS and _scans(file) > MAX_SCANS:
            raise DamagedError(
                f"the photo is a JPEG of more than {MAX_SCANS} scans, which take too long to decode: "
                "save it as a baseline JPEG"
            )
    finally:
        file.seek(place)


def _check_chunks(file: BinaryIO) -> None:
    """Check the chunks that carry the picture. Notes may be broken: they take no part in the pixels."""
    file.seek(8)
    while True:
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind[:1].islower():
            file.seek(length + 4, io.SEEK_CUR)
            continue
        found, left = zlib.crc32(kind), length
        while left and (block := file.read(min(left, _BLOCK))):
            found, left = zlib.crc32(block, found), left - len(block)
        wanted = file.read(4)
        if len(head) < 8 or left or len(wanted) < 4:
            raise DamagedError("the photo is damaged: the PNG ends early. Send it anew")
        if found != int.from_bytes(wanted, "big"):
            name = kind.decode("ascii", "backslashreplace")
            raise DamagedError(f"the photo is damaged: the PNG's {name} does not match its checksum. Send it anew")
        if kind == b"IEND":
            return


def _appearances(file: BinaryIO) -> int:
    """How often the marker of a scan appears anywhere: never less often than there are scans, and quick to tell."""
    file.seek(0)
    count, last = 0, b""
    while block := file.read(_BLOCK):
        count += len(_SCAN_MARKER.findall(block)) + (last == b"\xff" and block[:1] == b"\xda")
        last = block[-1:]
    return count


def _scans(file: BinaryIO) -> int:
    """Count scans as libjpeg meets them, MAX_SCANS + 1 at most: none in a preview, none behind the photo's end."""
    file.seek(2)
    reader = io.BufferedReader(cast(io.RawIOBase, file))  # all it needs is what files have
    try:
        count = 0
        while count <= MAX_SCANS and (marker := _next_marker(reader)) not in (_END, None):
            # Like libjpeg: a length that does not even cover itself is skipped alone.
            reader.seek(max(0, int.from_bytes(reader.read(2), "big") - 2), io.SEEK_CUR)
            count += marker == _SCAN
        return count
    finally:
        reader.detach()


def _next_marker(reader: "io.BufferedReader[io.RawIOBase]") -> int | None:
    while window := reader.peek():
        if match := _MARKER.search(window):
            reader.read(match.end())
            return window[match.end() - 1]
        reader.read(len(window))
        if window.endswith(b"\xff"):
            while (byte := reader.read(1)) == b"\xff":
                pass
            if byte and byte[0] not in _NO_MARKERS:
                return byte[0]
    return None
