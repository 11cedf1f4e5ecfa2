"""What a job learns about its photos, added up shard by shard so that memory does not grow with the data."""

import heapq
import math
from collections import Counter
from dataclasses import dataclass, field

from tally.data.grouping import stable_hash
from tally.data.photos import Checked
from tally.data.shards import Photo

SAMPLES = 6
"""Photos shown for each count, and photos shown as the most blurred."""

SIZE_BIN = 50
"""Width of a bar of the size histogram, pixels."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is not used, and why."""

    id: str
    file: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A photo that competes for a place in the report: the lowest ranks win."""

    rank: float
    split: str
    photo: Photo = field(compare=False)
    blur: float = field(compare=False)


@dataclass
class Findings:
    """Sums over photos. Keys: `counts` (split, count), `origins` (source, count), `sizes` long side in steps of
    SIZE_BIN pixels, `blur` the exponent k of a score in [2^k, 2^(k+1))."""

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    origins: Counter[tuple[str, int]] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    blur: Counter[int] = field(default_factory=Counter)
    samples: dict[int, list[Shown]] = field(default_factory=dict)
    blurred: list[Shown] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def measure(self, checked: Checked) -> None:
        """Count one usable photo's original size and blur."""
        self.sizes[max(checked.original) // SIZE_BIN * SIZE_BIN] += 1
        self.blur[blur_bin(checked.blur)] += 1

    def place(self, split: str, photos: list[Photo], blurs: list[float]) -> None:
        """Count the photos of one shard; a group never spreads over two shards."""
        self.groups[split] += len({photo.group for photo in photos})
        for photo, blur in zip(photos, blurs, strict=True):
            self.counts[split, photo.count] += 1
            self.origins[photo.source, photo.count] += 1
            drawn = Shown(stable_hash("sample", photo.id), split, photo, blur)
            self.samples[photo.count] = heapq.nsmallest(SAMPLES, [*self.samples.get(photo.count, []), drawn])
            self.blurred = heapq.nsmallest(SAMPLES, [*self.blurred, Shown(blur, split, photo, blur)])

    def add(self, other: "Findings") -> None:
        """Take over what another shard found."""
        self.counts += other.counts
        self.groups += other.groups
        self.origins += other.origins
        self.sizes += other.sizes
        self.blur += other.blur
        for count, shown in other.samples.items():
            self.samples[count] = heapq.nsmallest(SAMPLES, [*self.samples.get(count, []), *shown])
        self.blurred = heapq.nsmallest(SAMPLES, [*self.blurred, *other.blurred])
        self.quarantined += other.quarantined


def blur_bin(score: float) -> int:
    """The power of two below a blur score; everything under 1 shares bin 0."""
    return max(0, math.floor(math.log2(score))) if score > 0 else 0
