"""What a model was trained on, so that nobody judges it on the same photos: `trained_on.safetensors` beside the model.

Training writes it for the train and the validation split (validation picks the epoch and the calibration), Evaluate
holds it against the test split. It keeps 64-bit fingerprints, sorted, three arrays of uint64: 9 MB for 535,000 photos,
and the same photos give the same bytes. Ids and groups cannot be read back from it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tally.data.grouping import REACH, parse_id
from tally.data.shards import Photo, Split
from tally.errors import TallyError
from tally.labels import COUNTS, class_index

TRAINED_ON_FILE = "trained_on.safetensors"
_ARRAYS = ("contents", "groups", "numbers")

Fingerprints = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """Test photos, by id, that a model has seen in training; each photo is in the first list that it belongs to."""

    same: tuple[str, ...]
    """The very file was trained on, under whatever id."""
    grouped: tuple[str, ...]
    """Another photo of the same group was."""
    near: tuple[str, ...]
    """A photo with the same number or one at most REACH away was: probably the same bin."""


@dataclass(frozen=True)
class TrainedOn:
    """Fingerprints, each array uint64, sorted and without repetition.

    `contents` of the original files, `groups` of the groups' names, `numbers` of the ids with their leading zeros left
    out, so that neighbours can be looked up.
    """

    contents: Fingerprints
    groups: Fingerprints
    numbers: Fingerprints

    @classmethod
    def of(cls, *splits: Split) -> "TrainedOn":
        """Take the fingerprints of all photos of `splits`."""
        photos = [photo for split in splits for photo in split.photos]
        return cls(
            contents=np.unique(_array(content_fingerprint(photo) for photo in photos)),
            groups=np.unique(_array(_fingerprint(group) for group in {photo.group for photo in photos})),
            numbers=np.unique(_array(_number(photo.id, 0) for photo in photos)),
        )

    def write(self, directory: Path) -> None:
        """Write TRAINED_ON_FILE into `directory`; OSError or SafetensorError when that fails."""
        save_file({name: getattr(self, name) for name in _ARRAYS}, directory / TRAINED_ON_FILE)

    @classmethod
    def read(cls, directory: Path) -> "TrainedOn | None":
        """Read TRAINED_ON_FILE of a model; None for one that has none; TallyError when the file is damaged."""
        path = directory / TRAINED_ON_FILE
        if not path.exists():
            return None
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise TallyError(f"{path} cannot be read ({error}): train the model again or fetch it anew") from error
        wrong = [name for name in _ARRAYS if name not in arrays or arrays[name].dtype != np.uint64]
        if wrong:
            raise TallyError(f"{path} has no fingerprints {', '.join(wrong)}: train the model again or fetch it anew")
        return cls(*(arrays[name] for name in _ARRAYS))

    def overlap(self, test: Split) -> Overlap:
        """Return the photos of `test` that the model has seen, or whose bin it has probably seen."""
        photos = test.photos
        same = np.isin(_array(content_fingerprint(photo) for photo in photos), self.contents)
        grouped = np.isin(_array(_fingerprint(photo.group) for photo in photos), self.groups) & ~same
        near = np.zeros(len(photos), dtype=bool)
        for step in range(-REACH, REACH + 1):
            near |= np.isin(_array(_number(photo.id, step) for photo in photos), self.numbers)
        near &= ~same & ~grouped
        return Overlap(*(_ids(photos, found) for found in (same, grouped, near)))


def counts_by_source(split: Split) -> dict[str, list[int]]:
    """Photos of every count, in the order of COUNTS, by source: what model.json keeps for the baselines of Evaluate."""
    found: dict[str, list[int]] = {}
    for photo in split.photos:
        found.setdefault(photo.source, [0] * len(COUNTS))[class_index(photo.count)] += 1
    return dict(sorted(found.items()))


def _ids(photos: Sequence[Photo], found: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(photos[index].id for index in np.flatnonzero(found).tolist())


def _array(values: Iterable[int]) -> Fingerprints:
    return np.fromiter(values, dtype=np.uint64)


def content_fingerprint(photo: Photo) -> int:
    """64 bits of the hash of the original file."""
    return int(photo.sha256[-16:], 16)


def _number(photo_id: str, step: int) -> int:
    """Fingerprint of the id `step` further on; an id without a number has no neighbours but itself."""
    parsed = parse_id(photo_id)
    if parsed is None:
        return _fingerprint(photo_id)
    prefix, number = parsed
    return _fingerprint(f"{len(prefix)}:{prefix}{number + step}")


def _fingerprint(text: str) -> int:
    # Lone surrogates stand for file names that are not UTF-8.
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
