"""Reads one prepared split: photos by index, straight out of memory-mapped tar shards.

split = Split.open(Path("train"))
jpeg = split.jpeg(0)      # bytes of split.photos[0]
"""

import hashlib
import json
import mmap
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tally.errors import TallyError

FORMAT = "tally-shards/1"
_PART = re.compile(r"part-(\d{5})-of-(\d{5})\.json")
_REMEDY = "run Preprocess again into an empty folder, or copy the split again"


@dataclass(frozen=True, slots=True)
class Photo:
    """One manifest line. `sha256` is that of the original file, `width` and `height` are the stored ones in pixels;
    `shard`, `offset` and `size` say where the JPEG lies."""

    id: str
    count: int
    group: str
    source: str
    sha256: str
    width: int
    height: int
    shard: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One tar as its part file describes it."""

    name: str
    photos: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Part:
    stored_side: int
    shards: tuple[Shard, ...]


def part_name(part: int, parts: int) -> str:
    """The file that vouches for the shards of one instance."""
    return f"part-{part:05d}-of-{parts:05d}.json"


def manifest_name(part: int, parts: int) -> str:
    """The file with one JSON line a photo of one instance."""
    return f"manifest-{part:05d}-of-{parts:05d}.jsonl"


class Split:
    """A prepared split, photos sorted by id.

    Cheap to pass to worker processes: it pickles as its path, and each process maps the shards for itself on first use.
    """

    def __init__(self, directory: Path, photos: Sequence[Photo], stored_side: int) -> None:
        self.directory = directory
        self.photos = tuple(photos)
        self.stored_side = stored_side
        self._maps: dict[str, mmap.mmap] = {}

    @classmethod
    def open(cls, directory: Path) -> "Split":
        """Merge all parts and check every shard's size and hash.

        Raises:
            TallyError: a part or shard is missing, of another run, or damaged, or there is not a single photo.
        """
        return cls._load(directory, verify=True)

    @classmethod
    def _load(cls, directory: Path, *, verify: bool) -> "Split":
        parts = [_read_part(path) for path in _part_files(directory)]
        sides = {part.stored_side for part in parts}
        if len(sides) != 1:
            raise TallyError(f"{directory}: parts were stored with different sides {sorted(sides)}; {_REMEDY}")
        photos: list[Photo] = []
        for number, part in enumerate(parts):
            if verify:
                for shard in part.shards:
                    _check_shard(directory / shard.name, shard)
            photos += _read_manifest(directory / manifest_name(number, len(parts)), part.shards)
        if not photos:
            raise TallyError(f"{directory}: the split holds no photos; add photos and run Preprocess again")
        return cls(directory, sorted(photos, key=lambda photo: photo.id), sides.pop())

    def __len__(self) -> int:
        return len(self.photos)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.directory,)

    def jpeg(self, index: int) -> memoryview:
        """The stored JPEG of `photos[index]`, without a copy."""
        photo = self.photos[index]
        shard = self._maps.get(photo.shard)
        if shard is None:
            with (self.directory / photo.shard).open("rb") as file:
                shard = self._maps[photo.shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(shard)[photo.offset : photo.offset + photo.size]

    @cached_property
    def sha256(self) -> str:
        """The frozen name of the set: a hash over side, ids, counts, groups and the original files' hashes.

        It does not depend on shards or instances.
        """
        digest = hashlib.sha256(f"{FORMAT} {self.stored_side}\n".encode())
        for photo in self.photos:
            digest.update(json.dumps([photo.id, photo.count, photo.group, photo.sha256]).encode() + b"\n")
        return digest.hexdigest()


def _reopen(directory: Path) -> Split:
    """What unpickling calls: the process that pickled it has checked the shards."""
    return Split._load(directory, verify=False)


def _part_files(directory: Path) -> list[Path]:
    """The part files in order; TallyError unless they are exactly those of one run."""
    found = {path.name: match for path in directory.glob("part-*.json") if (match := _PART.fullmatch(path.name))}
    if not found:
        raise TallyError(
            f"{directory}: no prepared photos here (no part-*-of-*.json); give the output folder of Preprocess"
        )
    totals = {int(match[2]) for match in found.values()}
    if len(totals) > 1:
        raise TallyError(f"{directory}: parts of runs with {sorted(totals)} instances lie side by side; {_REMEDY}")
    total = totals.pop()
    names = [part_name(number, total) for number in range(total)]
    missing = sorted(set(names) - set(found))
    if missing:
        raise TallyError(f"{directory}: {', '.join(missing)} of {total} parts missing; {_REMEDY}")
    return [directory / name for name in names]


def _read_part(path: Path) -> _Part:
    try:
        part = json.loads(path.read_bytes())
        if part["format"] != FORMAT:
            raise ValueError(f"format {part['format']!r}")
        return _Part(part["stored_side"], tuple(Shard(**shard) for shard in part["shards"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TallyError(f"{path}: not a part file of the format {FORMAT} ({error}); {_REMEDY}") from error


def _check_shard(path: Path, shard: Shard) -> None:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TallyError(f"{path}: {error.strerror}; {_REMEDY}") from error
    if size != shard.bytes:
        raise TallyError(f"{path}: {size} bytes where the part file says {shard.bytes}; {_REMEDY}")
    if sha256 != shard.sha256:
        raise TallyError(f"{path}: content does not match the hash in the part file; {_REMEDY}")


def _read_manifest(path: Path, shards: Sequence[Shard]) -> list[Photo]:
    try:
        with path.open("rb") as file:
            photos = [Photo(**json.loads(line)) for line in file]
    except (OSError, ValueError, TypeError) as error:
        raise TallyError(f"{path}: not a manifest ({error}); {_REMEDY}") from error
    found = Counter(photo.shard for photo in photos)
    if found != Counter({shard.name: shard.photos for shard in shards}):
        raise TallyError(
            f"{path}: lists {len(photos)} photos of {sorted(found)}, not those of its part file; {_REMEDY}"
        )
    return photos
