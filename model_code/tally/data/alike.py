"""Near-duplicates among the photos of a run, as a list for people: nothing is dropped because of it."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.data.files import replacing
from tally.data.looks import Rows
from tally.data.near_duplicates import find_near_pairs
from tally.data.shards import Photo, manifest_name
from tally.errors import TallyError

FLAT = 5.0
"""Contrast (standard deviation of grey values) below which a photo is too flat for its hash to mean anything."""


@dataclass(frozen=True)
class Member:
    """One photo of a pair, and the side of the split it is on."""

    photo: Photo
    split: str


@dataclass(frozen=True)
class AlikePair:
    """Two photos that look the same. `distance`: bits of 128 in which their hashes differ."""

    first: Member
    second: Member
    distance: int

    @property
    def crosses_splits(self) -> bool:
        """A model is judged on a photo that it has seen."""
        return self.first.split != self.second.split

    @property
    def counts_differ(self) -> bool:
        """At most one of the two labels is right."""
        return self.first.photo.count != self.second.photo.count


@dataclass(frozen=True)
class Alike:
    """Pairs, the gravest first. `compared`, `too_flat`: photos; `complete`: as `NearPairs` has it."""

    pairs: tuple[AlikePair, ...]
    compared: int
    too_flat: int
    complete: bool

    @property
    def crossing(self) -> int:
        """Pairs on different sides of the split."""
        return sum(pair.crosses_splits for pair in self.pairs)

    @property
    def disagreeing(self) -> int:
        """Pairs with different counts."""
        return sum(pair.counts_differ for pair in self.pairs)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for report.json; the pairs themselves are in the CSV."""
        return {
            "pairs": len(self.pairs),
            "across_splits": self.crossing,
            "different_counts": self.disagreeing,
            "photos_compared": self.compared,
            "photos_too_flat": self.too_flat,
            "complete": self.complete,
        }

    def warnings(self, file: str) -> list[str]:
        """What a person should look at, in words; `file` is where the pairs are listed."""
        found = []
        if self.crossing:
            found.append(
                f"{self.crossing} pairs of photos look the same and lie on different sides of the split: give both "
                f"the same group, or the evaluation flatters the model; they are listed in {file}"
            )
        if self.disagreeing:
            found.append(
                f"{self.disagreeing} pairs of photos look the same and carry different counts: at most one is right; "
                f"they are listed in {file}"
            )
        if not self.complete:
            found.append(
                "too many photos look the same for all pairs to be listed: remove the frames of a covered lens and the "
                f"like, which come again and again in {file}, and run Preprocess again"
            )
        return found


def find_alike(looks: Mapping[str, Rows], outputs: Mapping[str, Path], part: int, parts: int) -> Alike:
    """Search all photos of this instance. `looks`: rows of each side, in the order of the manifest lines in `outputs`.

    TallyError when a manifest cannot be read back.
    """
    sides = list(looks)
    rows = np.concatenate([looks[side] for side in sides])
    side_of = np.repeat(np.arange(len(sides)), [len(looks[side]) for side in sides])
    line_of = np.concatenate([np.arange(len(looks[side])) for side in sides])
    clear = np.nonzero(rows["contrast"] >= FLAT)[0]
    near = find_near_pairs(rows["rows_hash"][clear], rows["columns_hash"][clear])
    firsts, seconds = clear[near.first], clear[near.second]

    members: dict[int, Member] = {}
    wanted = np.unique(np.concatenate([firsts, seconds]))
    for number, side in enumerate(sides):
        mine = wanted[side_of[wanted] == number]
        photos = _photos(outputs[side] / manifest_name(part, parts), {int(line_of[index]) for index in mine})
        members |= {int(index): Member(photos[int(line_of[index])], side) for index in mine}
    pairs = [
        _pair(members[first], members[second], distance)
        for first, second, distance in zip(firsts.tolist(), seconds.tolist(), near.distance.tolist(), strict=True)
    ]
    pairs.sort(key=_gravity)
    return Alike(tuple(pairs), compared=len(clear), too_flat=len(rows) - len(clear), complete=near.complete)


def write_pairs(path: Path, alike: Alike) -> None:
    """Write one CSV row a pair, the gravest first; TallyError when the disk is full."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = ("id", "split", "count", "group", "source")
    writer.writerow(
        [*(f"{name}_{number}" for number in (1, 2) for name in columns), "distance", "other_split", "other_count"]
    )
    for pair in alike.pairs:
        row: list[str | int] = []
        for member in (pair.first, pair.second):
            photo = member.photo
            row += [photo.id, member.split, photo.count, photo.group, photo.source]
        row += [pair.distance, "yes" if pair.crosses_splits else "no", "yes" if pair.counts_differ else "no"]
        writer.writerow(row)
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _pair(first: Member, second: Member, distance: int) -> AlikePair:
    if (second.photo.id, second.split) < (first.photo.id, first.split):
        first, second = second, first
    return AlikePair(first, second, distance)


def _gravity(pair: AlikePair) -> tuple[bool, bool, int, str, str]:
    return (
        not pair.crosses_splits,
        not pair.counts_differ,
        pair.distance,
        pair.first.photo.id,
        pair.second.photo.id,
    )


def _photos(manifest: Path, lines: set[int]) -> dict[int, Photo]:
    """The photos of these lines of a manifest that was written a moment ago."""
    try:
        with manifest.open("rb") as file:
            return {number: Photo(**json.loads(line)) for number, line in enumerate(file) if number in lines}
    except OSError as error:
        raise TallyError(f"{manifest}: {error.strerror}; it was written by this job: check the disk") from error
