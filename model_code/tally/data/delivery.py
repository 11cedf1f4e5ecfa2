"""What a model keeps of the photos it was trained on, so that a later delivery can be compared with them.

`data.json`: profiles of the train and the validation split, for people and programs. `photos.npy`: a row a photo, so
that photos that are new since can be told from the others, and photos of a test set be recognised that only look the
same. 54 bytes a photo, 29 MB for 535,000; no photo can be read back from it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.data.looks import ROW, Rows, load_rows, read_looks
from tally.data.profile import Profile, profile_of
from tally.data.shards import Split
from tally.errors import TallyError
from tally.provenance import content_fingerprint

DATA_FILE = "data.json"
PHOTOS_FILE = "photos.npy"
FORMAT = "tally-data/2"
_WITHOUT_GROUPS = "tally-data/1"
"""The format before: photos without their groups."""

_LOOKS = tuple(name for name in (ROW.names or ()) if name not in ("shard", "offset"))
_UNGROUPED = np.dtype(
    [("content", "<u8"), ("source", "<u4"), ("train", "?"), *((name, ROW.fields[name][0]) for name in _LOOKS)]  # type: ignore[index]
)
PHOTO = np.dtype([*((name, _UNGROUPED.fields[name][0]) for name in _UNGROUPED.names or ()), ("group", "<u4")])  # type: ignore[index]
"""One photo: `content` as in `trained_on.safetensors`, `source` an index into `sources` of data.json, `train` or
validation, its looks as in `tally.data.looks`, and a number that photos of one group share."""


@dataclass(frozen=True)
class Delivery:
    """The photos of one training job: profiles by split, names of sources, and rows of PHOTO [n].

    Rows that an older version wrote have no `group`.
    """

    profiles: Mapping[str, Profile]
    sources: tuple[str, ...]
    rows: Rows
    stored_side: int

    @classmethod
    def of(cls, train: Split, validation: Split) -> "Delivery":
        """Describe the splits of a training job."""
        splits = {"train": train, "validation": validation}
        sources = tuple(sorted({photo.source for split in splits.values() for photo in split.photos}))
        numbers = {source: number for number, source in enumerate(sources)}
        names = dict.fromkeys(photo.group for split in splits.values() for photo in split.photos)
        groups = {group: number for number, group in enumerate(names)}
        parts, profiles = [], {}
        for name, split in splits.items():
            looks = read_looks(split)
            rows = np.zeros(len(split), dtype=PHOTO)
            for field in _LOOKS:
                rows[field] = looks[field]
            rows["content"] = [content_fingerprint(photo) for photo in split.photos]
            rows["source"] = [numbers[photo.source] for photo in split.photos]
            rows["count"] = [photo.count for photo in split.photos]
            rows["train"] = name == "train"
            rows["group"] = [groups[photo.group] for photo in split.photos]
            parts.append(rows)
            profiles[name] = split_profile(split, looks)
        return cls(profiles, sources, np.concatenate(parts), train.stored_side)

    def write(self, directory: Path) -> None:
        """Write both files; the same photos give the same bytes. TallyError when the disk is full."""
        document = {
            "format": FORMAT,
            "sources": list(self.sources),
            "stored_side": self.stored_side,
            **{name: profile.as_dict() for name, profile in self.profiles.items()},
        }
        try:
            (directory / DATA_FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            np.save(directory / PHOTOS_FILE, self.rows, allow_pickle=False)
        except OSError as error:
            raise TallyError(f"model directory '{directory}' cannot be written ({error}); free space there") from error

    @classmethod
    def read(cls, directory: Path) -> "Delivery | None":
        """Read what a model keeps; None for one that keeps nothing (older ones); TallyError when it is damaged."""
        data, photos = directory / DATA_FILE, directory / PHOTOS_FILE
        if not data.exists():
            return None
        try:
            document: dict[str, Any] = json.loads(data.read_text(encoding="utf-8"))
            if document.get("format") not in (FORMAT, _WITHOUT_GROUPS):
                raise ValueError(f"format is {document.get('format')!r}, not {FORMAT!r}")
            with photos.open("rb") as file:
                rows = load_rows(file, PHOTO if document["format"] == FORMAT else _UNGROUPED)
            return cls(
                profiles={name: Profile.from_dict(document[name]) for name in ("train", "validation")},
                sources=tuple(str(source) for source in document["sources"]),
                rows=rows,
                stored_side=int(document["stored_side"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise TallyError(
                f"{directory}: {DATA_FILE} or {PHOTOS_FILE} cannot be read ({error}); train the model again or fetch "
                "it anew"
            ) from error

    def without(self, contents: npt.NDArray[np.uint64]) -> Profile:
        """Profile of the train photos whose content is not among `contents`."""
        rows = self.rows[self.rows["train"] & ~np.isin(self.rows["content"], contents)]
        names = [self.sources[number] for number in rows["source"].tolist()]
        groups = rows["group"].astype(np.int64) if "group" in (rows.dtype.names or ()) else None
        return profile_of(rows["count"].tolist(), names, rows, self.stored_side, groups)


def split_profile(split: Split, looks: Rows | None = None) -> Profile:
    """Profile of a prepared split; `looks` where they were read already."""
    return profile_of(
        (photo.count for photo in split.photos),
        (photo.source for photo in split.photos),
        read_looks(split) if looks is None else looks,
        split.stored_side,
        np.unique(np.array([photo.group for photo in split.photos], dtype=str), return_inverse=True)[1],
    )
