"""What could be answered without a person: photos above a confidence threshold, and how often they are right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.data.observations import running_observations
from tally.evaluation.proportions import bounds
from tally.evaluation.scoring import Truth
from tally.predictor import Probabilities

TARGETS = (0.90, 0.95, 0.99)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_ERROR = 0.05
"""Chance that a lower bound is too high. One bound's two sides together then hold with 1 - 2 * _ERROR."""
_CONFIDENCE = 1 - 2 * _ERROR
_TOGETHER = 1 - 2 * _ERROR / len(THRESHOLDS)
"""The same for all THRESHOLDS at once (Bonferroni)."""


@dataclass(frozen=True)
class Point:
    """Photos of at least `threshold` confidence: their `share` of all, how many of them are right (`precision`), and
    its `lower_bound`, aware of groups. `check` is the share left to a person.

    At one of THRESHOLDS the bound holds with 95% for all of them at once, so whoever looks for the best one may rely on
    it; elsewhere only for a threshold that was chosen without looking. A share of 0 has no precision: None.
    """

    threshold: float
    share: float
    check: float
    precision: float | None
    lower_bound: float | None


@dataclass(frozen=True)
class Target:
    """The largest share that may be answered without a person at a wanted `precision`; None where none may.

    `proven`: at one of THRESHOLDS the precision's lower bound reaches it; false in at most 5% of test sets. `observed`:
    the precision itself does, at any threshold; among so many one looks good by luck, so this one is too kind.
    """

    precision: float
    proven: Point | None
    observed: Point | None


@dataclass(frozen=True)
class Automation:
    """Arrays [thresholds], one entry a threshold that makes a difference, the highest first.

    `worth`: how many independent photos those above it are worth; `lower_bounds` hold with 95%, each alone.
    """

    thresholds: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    precisions: npt.NDArray[np.float64]
    worth: npt.NDArray[np.float64]
    lower_bounds: npt.NDArray[np.float64]

    @property
    def table(self) -> tuple[Point, ...]:
        """What each of THRESHOLDS gives."""
        return tuple(self._at(threshold) for threshold in THRESHOLDS)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is reached of each of TARGETS."""
        table = self.table
        return tuple(
            Target(
                wanted,
                proven=_largest([point for point in table if (point.lower_bound or 0) >= wanted]),
                observed=_largest([self._point(index) for index in np.flatnonzero(self.precisions >= wanted)[-1:]]),
            )
            for wanted in TARGETS
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data: the targets, and the table at THRESHOLDS."""
        return {
            "targets": {f"{target.precision:g}": asdict(target) for target in self.targets},
            "thresholds": [asdict(point) for point in self.table],
        }

    def _at(self, threshold: float) -> Point:
        reached = int((self.thresholds >= threshold).sum())
        if not reached:
            return Point(threshold, 0.0, 1.0, None, None)
        lower, _ = bounds(self.precisions[reached - 1], self.worth[reached - 1], _TOGETHER)
        return replace(self._point(reached - 1), threshold=threshold, lower_bound=float(lower))

    def _point(self, index: int) -> Point:
        share = float(self.shares[index])
        return Point(
            float(self.thresholds[index]),
            share,
            1 - share,
            float(self.precisions[index]),
            float(self.lower_bounds[index]),
        )


def _largest(points: Sequence[Point]) -> Point | None:
    return max(points, key=lambda point: point.share, default=None)


def automate(probabilities: Probabilities, truth: Truth) -> Automation:
    """Go down the confidences of `probabilities` [n, 5]; photos of equal confidence are answered together or not."""
    table = np.asarray(probabilities, dtype=np.float64)
    confidence = table.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (table.argmax(axis=1) == truth.true)[order]
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(sorted_confidence[1:] != sorted_confidence[:-1], True))
    answered = last + 1
    precisions = right.cumsum()[last] / answered
    worth = running_observations(truth.group_numbers[order])[last]
    lower, _ = bounds(precisions, worth, _CONFIDENCE)
    return Automation(sorted_confidence[last], answered / len(order), precisions, worth, lower)
