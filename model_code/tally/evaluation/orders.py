"""Does this bin hold what was ordered? The API's decision for an expected count, on photos whose count is known.

A photo passes from PASS_PROBABILITY of the expected count on, fails up to FAIL_PROBABILITY, else a person checks: the
API's own defaults (lambda/api/decisions.py; a test holds the two together). Every test photo is asked with its true
count and with each of the four wrong ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.evaluation.bootstrap import GroupBootstrap, interval
from tally.evaluation.scoring import Truth
from tally.labels import COUNTS
from tally.metrics import Floats
from tally.predictor import Probabilities

PASS_PROBABILITY = 0.8
FAIL_PROBABILITY = 0.05
DECISIONS = ("pass", "check", "fail")
SITUATIONS = ("as ordered", "one off", "more off")
"""What the bin holds against what was expected: the same, one object more or less, two to four more or less."""


@dataclass(frozen=True)
class Shares:
    """Of the questions asked in one situation: the share of each decision, and its 95% interval."""

    questions: int
    share: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self) | {"intervals": {name: list(sides) for name, sides in self.intervals.items()}}


def order_check(probabilities: Probabilities, truth: Truth, bootstrap: GroupBootstrap) -> dict[str, Shares]:
    """Ask all photos, [n, 5] `probabilities`; situations that no photo can be in are left out.

    A photo's wrong counts weigh the same. Errors are `fail` where the bin holds what was ordered, a needless look, and
    `pass` where it does not, a discrepancy that nobody sees.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    off = np.abs(np.arange(len(COUNTS))[None, :] - truth.true[:, None])
    passed, failed = table >= PASS_PROBABILITY, table <= FAIL_PROBABILITY
    found = {}
    for name, asked in zip(SITUATIONS, (off == 0, off == 1, off > 1), strict=True):
        columns = np.stack(
            [(asked & decided).sum(axis=1) for decided in (passed, ~passed & ~failed, failed)], axis=1
        ).astype(np.float64)
        if not columns.any():
            continue
        replicates = _shares(bootstrap.sums(columns))
        point = _shares(columns.sum(axis=0))
        sides = [interval(replicates[:, index]) for index in range(len(DECISIONS))]
        found[name] = Shares(
            questions=int(columns.sum()),
            share=dict(zip(DECISIONS, point.tolist(), strict=True)),
            intervals={key: (side.low, side.high) for key, side in zip(DECISIONS, sides, strict=True)},
        )
    return found


def _shares(sums: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(sums / np.maximum(sums.sum(axis=-1, keepdims=True), 1))
