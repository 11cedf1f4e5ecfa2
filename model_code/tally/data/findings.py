"""What a job learns about its photos, added up shard by shard so that memory does not grow with the data."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from tally.data.grouping import stable_hash
from tally.data.looks import Look
from tally.data.shards import Photo

SAMPLES = 6
"""Photos shown for each count."""

BLURRED = 12
"""Photos shown as the most blurred."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is not used, and why."""

    id: str
    file: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A photo that competes for a place in the report: the lowest ranks win, of equal ones the first ids."""

    rank: float
    split: str
    id: str
    photo: Photo = field(compare=False)
    blur: float = field(compare=False)


@dataclass
class Findings:
    """Sums over photos. Keys: `counts` (split, count), `origins` (source, count)."""

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    origins: Counter[tuple[str, int]] = field(default_factory=Counter)
    samples: dict[int, list[Shown]] = field(default_factory=dict)
    blurred: list[Shown] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def place(self, split: str, photos: list[Photo], looks: list[Look]) -> None:
        """Count the photos of one shard; a group never spreads over two shards."""
        self.groups[split] += len({photo.group for photo in photos})
        self.counts.update((split, photo.count) for photo in photos)
        self.origins.update((photo.source, photo.count) for photo in photos)
        drawn: dict[int, list[Shown]] = {}
        for photo, look in zip(photos, looks, strict=True):
            shown = Shown(stable_hash("sample", photo.id), split, photo.id, photo, look.blur)
            drawn.setdefault(photo.count, []).append(shown)
        for count, some in drawn.items():
            self._show(count, some)
        self._show_blurred(
            Shown(look.blur, split, photo.id, photo, look.blur) for photo, look in zip(photos, looks, strict=True)
        )

    def add(self, other: "Findings") -> None:
        """Take over what another shard found."""
        self.counts += other.counts
        self.groups += other.groups
        self.origins += other.origins
        for count, shown in other.samples.items():
            self._show(count, shown)
        self._show_blurred(other.blurred)
        self.quarantined += other.quarantined

    def _show(self, count: int, more: Iterable[Shown]) -> None:
        self.samples[count] = heapq.nsmallest(SAMPLES, chain(self.samples.get(count, ()), more))

    def _show_blurred(self, more: Iterable[Shown]) -> None:
        self.blurred = heapq.nsmallest(BLURRED, chain(self.blurred, more))
