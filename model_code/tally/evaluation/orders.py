"""Does this bin hold what was ordered? The API's decision for an expected count, on photos whose count is known.

A photo passes from PASS_PROBABILITY of the expected count on, fails up to FAIL_PROBABILITY, else a person reviews it:
the API's defaults (lambda/api/decisions.py; a test holds the two together), whatever a stage sets instead in
api.pass_probability and api.fail_probability. Every test photo is asked with its true count and with each of the four
wrong ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tally.data.observations import observations
from tally.evaluation.proportions import bounds
from tally.evaluation.scoring import Truth
from tally.labels import COUNTS
from tally.predictor import Probabilities

PASS_PROBABILITY = 0.8
FAIL_PROBABILITY = 0.05
DECISIONS = ("pass", "review", "fail")
"""As the API calls them."""
SITUATIONS = ("as ordered", "one off", "more off")
"""What the bin holds against what was expected: the same, one object more or less, two to four more or less."""


@dataclass(frozen=True)
class Shares:
    """Of the questions asked in one situation: the share of each decision, and its 95% interval, aware of groups."""

    questions: int
    share: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self) | {"intervals": {name: list(sides) for name, sides in self.intervals.items()}}


def order_check(probabilities: Probabilities, truth: Truth) -> dict[str, Shares]:
    """Ask all photos, `probabilities` [n, 5], and count the decisions of each situation; every photo is in all three.

    A photo's wrong counts weigh the same. Errors are `fail` where the bin holds what was ordered, a needless look, and
    `pass` where it does not, a discrepancy that nobody sees.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    off = np.abs(np.arange(len(COUNTS))[None, :] - truth.true[:, None])
    passed, failed = table >= PASS_PROBABILITY, table <= FAIL_PROBABILITY
    found = {}
    for name, asked in zip(SITUATIONS, (off == 0, off == 1, off > 1), strict=True):
        questions = int(asked.sum())
        worth = observations(np.repeat(truth.group_numbers, asked.sum(axis=1)))
        decided = dict(zip(DECISIONS, (passed, ~passed & ~failed, failed), strict=True))
        share = {decision: float((asked & chosen).sum() / questions) for decision, chosen in decided.items()}
        sides = {decision: bounds(value, worth) for decision, value in share.items()}
        found[name] = Shares(
            questions, share, {decision: (float(low), float(high)) for decision, (low, high) in sides.items()}
        )
    return found
