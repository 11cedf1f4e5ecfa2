"""Intervals by resampling groups with replacement (Efron & Tibshirani 1993, ch. 13; the cluster bootstrap).

Photos of one group are alike, so a group is drawn whole. All models see the same draws. Of few groups the draws are
too alike: intervals are too narrow, and of one group they are a point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tally.labels import COUNTS
from tally.metrics import Floats

REPLICATES = 1000
FEWEST_GROUPS = 10
"""With fewer groups no interval is taken for proof of anything."""

_CHUNK = 100
"""Replicates drawn at once: bounds memory for test sets of tens of thousands of groups."""


@dataclass(frozen=True)
class Interval:
    """Percentiles 2.5 and 97.5 of the replicates, and their standard deviation."""

    low: float
    high: float
    standard_deviation: float


class GroupBootstrap:
    """The draws, made once: `group_numbers` [n] gives every photo's group as 0..groups-1."""

    def __init__(self, group_numbers: npt.NDArray[np.int64], seed: int, replicates: int = REPLICATES) -> None:
        self._numbers = group_numbers
        self._groups = int(group_numbers.max()) + 1
        self.few = self._groups < FEWEST_GROUPS
        self._seed = seed
        self._replicates = replicates

    def sums(self, values: npt.NDArray[np.float64]) -> Floats:
        """Sum per-photo `values` [n, k] over the photos of each replicate -> [replicates, k]."""
        by_group = np.zeros((self._groups, values.shape[1]))
        np.add.at(by_group, self._numbers, values)
        generator = np.random.default_rng(self._seed)
        chunks = []
        for first in range(0, self._replicates, _CHUNK):
            rows = min(_CHUNK, self._replicates - first)
            drawn = generator.integers(0, self._groups, size=(rows, self._groups))
            weights = np.stack([np.bincount(row, minlength=self._groups) for row in drawn])
            chunks.append(weights @ by_group)
        return np.concatenate(chunks)

    def matrices(self, true: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> Floats:
        """Confusion matrices of the replicates, [replicates, 5, 5]."""
        size = len(COUNTS)
        cells = np.eye(size * size)[true * size + predicted]
        return self.sums(cells).reshape(-1, size, size)


def intervals(statistic: Callable[[Floats], Mapping[str, Floats]], replicates: Floats) -> dict[str, Interval]:
    """Apply `statistic` to all replicates at once and summarise each value that it returns."""
    return {name: interval(values) for name, values in statistic(replicates).items()}


def interval(values: Floats) -> Interval:
    """Summarise one statistic's replicates."""
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high), float(values.std(ddof=1)))
