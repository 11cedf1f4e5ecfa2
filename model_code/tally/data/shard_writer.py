"""Writes the prepared form of one split: tar shards, a manifest line a photo, and the part file that vouches for them.

Headers carry no clock, user or machine, so the same photos give the same bytes everywhere.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from tally.data.files import replacing
from tally.data.shards import FORMAT, Photo, Shard, manifest_name, part_name
from tally.labels import COUNTS


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
        header = tarfile.TarInfo(name)
        header.size = len(content)
        self._write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        offset = self.bytes
        self._write(content)
        self._write(bytes(-len(content) % tarfile.BLOCKSIZE))
        return offset

    def close(self) -> None:
        """Write the end-of-archive mark; the file itself stays open."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self.bytes % tarfile.RECORDSIZE))

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._hash.update(content)
        self.bytes += len(content)


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
        file.write(json.dumps(asdict(photo), sort_keys=True).encode() + b"\n")


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
