"""Writes the prepared form of one split: tar shards, a manifest line a photo, and the part file that vouches for them.

Headers carry no clock, user or machine, so the same photos give the same bytes everywhere.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

from tally.data.files import replacing
from tally.data.shards import FORMAT, Photo, Shard, manifest_name, part_name
from tally.labels import COUNTS

_NAME_BYTES, _MOST_BYTES = 100, 8**11 - 1
"""What a plain header has room for; longer names and sizes, and names that are not ASCII, get a second one."""

_BARE = tarfile.TarInfo("").tobuf(tarfile.PAX_FORMAT)
_BARE_SUM = int(_BARE[148:154], 8) - sum(_BARE[124:135])
_COLUMNS = tuple(field.name for field in fields(Photo))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo that passed its checks, with the JPEG to store."""

    id: str
    count: int
    group: str
    source: str
    sha256: str
    width: int
    height: int
    jpeg: bytes


class TarWriter:
    """An uncompressed tar of `<id>.jpg` and `<id>.json` pairs; `sha256` is that of everything written so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def member(self, name: str, content: bytes) -> int:
        """Append one file; return the offset of its content."""
        header = tar_header(name, len(content))
        offset = self.bytes + len(header)
        self._write(b"".join((header, content, bytes(-len(content) % tarfile.BLOCKSIZE))))
        return offset

    def close(self) -> None:
        """Write the end-of-archive mark; the file itself stays open."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self.bytes % tarfile.RECORDSIZE))

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._hash.update(content)
        self.bytes += len(content)


def tar_header(name: str, size: int) -> bytes:
    """The header of a file of `size` bytes, the same bytes as tarfile's.

    POSIX.1-1988 (ustar), section 10.1.1. tarfile builds a header from twenty fields in turn; here all but the name, the
    size and the checksum, the sum of the header's bytes, are taken from one that it made.
    """
    if len(name) > _NAME_BYTES or not name.isascii() or size > _MOST_BYTES:
        header = tarfile.TarInfo(name)
        header.size = size
        return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    short, length = name.encode(), b"%011o" % size
    check = b"%06o" % (_BARE_SUM + sum(short) + sum(length))
    return b"".join((short.ljust(_NAME_BYTES, b"\0"), _BARE[100:124], length, _BARE[135:148], check, _BARE[154:]))


def write_shard(directory: Path, index: int, photos: Iterable[Prepared]) -> tuple[Shard, list[Photo]]:
    """Write `shard-<index>.tar` photo by photo; return what to say about it in part file and manifest.

    Raises:
        TallyError: the shard cannot be written.
    """
    name = f"shard-{index:05d}.tar"
    written: list[Photo] = []
    with replacing(directory / name) as file:
        tar = TarWriter(file)
        for photo in photos:
            offset = tar.member(f"{photo.id}.jpg", photo.jpeg)
            tar.member(f"{photo.id}.json", json.dumps({"count": photo.count, "group": photo.group}).encode())
            written.append(_located(photo, name, offset))
        tar.close()
    return Shard(name=name, photos=len(written), bytes=tar.bytes, sha256=tar.sha256), written


def _located(photo: Prepared, shard: str, offset: int) -> Photo:
    return Photo(
        id=photo.id,
        count=photo.count,
        group=photo.group,
        source=photo.source,
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        shard=shard,
        offset=offset,
        size=len(photo.jpeg),
    )


def write_manifest_lines(file: BinaryIO, photos: Iterable[Photo]) -> None:
    """Append one JSON line a photo."""
    for photo in photos:
        line = {column: getattr(photo, column) for column in _COLUMNS}  # asdict copies every value
        file.write(json.dumps(line, sort_keys=True).encode() + b"\n")


def write_part(
    directory: Path, *, split: str, part: int, parts: int, stored_side: int, shards: Sequence[Shard]
) -> None:
    """Write the part file. It comes last: a folder without it holds no finished data set."""
    description = {
        "format": FORMAT,
        "split": split,
        "part": part,
        "parts": parts,
        "counts": list(COUNTS),
        "stored_side": stored_side,
        "photos": sum(shard.photos for shard in shards),
        "shards": [asdict(shard) for shard in shards],
    }
    with replacing(directory / part_name(part, parts)) as file:
        file.write(json.dumps(description, indent=1).encode())


def write_split(directory: Path, photos: Iterable[Prepared], *, split: str, stored_side: int) -> None:
    """Write a whole split as one shard and one part: for small sets."""
    shard, written = write_shard(directory, 0, photos)
    with replacing(directory / manifest_name(0, 1)) as file:
        write_manifest_lines(file, written)
    write_part(directory, split=split, part=0, parts=1, stored_side=stored_side, shards=[shard])
