"""How much the source of a photo says about its count: what a model could learn instead of counting."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.labels import COUNTS

MEDIUM_EFFECT = 0.3
"""Cohen's w of a medium effect (J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, ch. 7)."""

_EXCESS = 0.5
"""How much larger a source's share of one count must be than its share of all, for the source to tell the count."""

_FEWEST = 30
"""Photos of a source from which its mix of counts is compared with the others'."""


@dataclass(frozen=True)
class SourceEffect:
    """`cramers_v` of source and count, 0-1, and `effect` = Cohen's w = V * sqrt(min(sources, counts) - 1).

    `guess_with_source`: accuracy of always answering the commonest count of the photo's source; `guess_without`: of
    the commonest count of all. `apart`: source -> effect of "from this source or not", where that is medium or more.
    """

    cramers_v: float
    effect: float
    guess_with_source: float
    guess_without: float
    apart: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for report.json."""
        return {
            "cramers_v": round(self.cramers_v, 4),
            "effect": round(self.effect, 4),
            "guess_with_source": round(self.guess_with_source, 4),
            "guess_without": round(self.guess_without, 4),
            "apart": {source: round(effect, 4) for source, effect in self.apart.items()},
        }


@dataclass(frozen=True)
class TellTale:
    """A count of whose `total` photos `photos` are from one `source`, far more than its share `overall` of all."""

    count: int
    source: str
    photos: int
    total: int
    overall: float


def tell_tale_sources(origins: Mapping[tuple[str, int], int]) -> list[TellTale]:
    """Counts that a model may recognise by their source, in the order of COUNTS, from photos per (source, count).

    A source that is simply large tells nothing: what counts is its excess over its share of all photos.
    """
    by_source: Counter[str] = Counter()
    for (source, _), photos in origins.items():
        by_source[source] += photos
    found = []
    for count in COUNTS:
        of_count = {source: origins.get((source, count), 0) for source in sorted(by_source)}
        total = sum(of_count.values())
        if not total:
            continue
        source = max(of_count, key=of_count.__getitem__)
        overall = by_source[source] / by_source.total()
        if of_count[source] / total - overall >= _EXCESS:
            found.append(TellTale(count, source, of_count[source], total, overall))
    return found


def source_effect(origins: Mapping[tuple[str, int], int]) -> SourceEffect | None:
    """Measure photos per (source, count); None when there are not two sources and two counts."""
    names = sorted({source for (source, _), photos in origins.items() if photos})
    table = np.array([[origins.get((name, count), 0) for count in COUNTS] for name in names], dtype=np.int64)
    if len(names) < 2 or (table.sum(axis=0) > 0).sum() < 2:
        return None
    v = cramers_v(table)
    apart = {}
    for name, row in zip(names, table, strict=True):
        effect = cramers_v(np.stack([row, table.sum(axis=0) - row]))
        if row.sum() >= _FEWEST and effect >= MEDIUM_EFFECT:
            apart[name] = effect
    return SourceEffect(
        cramers_v=v,
        effect=v * float(np.sqrt(_freedom(table))),
        guess_with_source=float(table.max(axis=1).sum() / table.sum()),
        guess_without=float(table.sum(axis=0).max() / table.sum()),
        apart=dict(sorted(apart.items(), key=lambda item: (-item[1], item[0]))),
    )


def cramers_v(table: npt.NDArray[np.int64]) -> float:
    """Cramer's V of a contingency table [rows, columns]: sqrt(chi-squared / (n * (min(rows, columns) - 1))).

    H. Cramer, "Mathematical Methods of Statistics", 1946, ch. 21. Empty rows and columns do not count; 0 when fewer
    than two of either are left.
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 0.0
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    chi_squared = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi_squared / (total * (min(table.shape) - 1))))


def _freedom(table: npt.NDArray[np.int64]) -> int:
    return int(min((table.sum(axis=1) > 0).sum(), (table.sum(axis=0) > 0).sum())) - 1
