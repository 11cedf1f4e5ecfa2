"""What could be answered without a person: photos above a confidence threshold, and how often they are right."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.evaluation.proportions import bounds
from tally.evaluation.scoring import Truth
from tally.predictor import Probabilities

TARGETS = (0.90, 0.95, 0.99)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_CONFIDENCE = 0.90
"""Of the two-sided bounds: the lower one alone holds with 95%."""


@dataclass(frozen=True)
class Point:
    """Photos of at least `threshold` confidence: their `share` of all, how many of them are right (`precision`), and
    its `lower_bound`, which holds with 95%, aware of groups. `check` is the share left to a person.

    A share of 0 has no precision: None.
    """

    threshold: float
    share: float
    check: float
    precision: float | None
    lower_bound: float | None


@dataclass(frozen=True)
class Target:
    """The largest share that may be answered without a person at a wanted `precision`; None where none may.

    `proven`: the precision's lower bound reaches it. `observed`: the precision itself does, on these photos; among so
    many thresholds one looks good by luck, so this one is too kind.
    """

    precision: float
    proven: Point | None
    observed: Point | None


@dataclass(frozen=True)
class Automation:
    """Arrays [thresholds], one entry a threshold that makes a difference, the highest first; and what is reached."""

    thresholds: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    precisions: npt.NDArray[np.float64]
    lower_bounds: npt.NDArray[np.float64]
    targets: tuple[Target, ...]

    def at(self, threshold: float) -> Point:
        """What a threshold gives."""
        reached = int((self.thresholds >= threshold).sum())
        if not reached:
            return Point(threshold, 0.0, 1.0, None, None)
        point = self._point(reached - 1)
        return Point(threshold, point.share, point.check, point.precision, point.lower_bound)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data: the targets, and the table at THRESHOLDS."""
        targets: Mapping[str, Any] = {f"{target.precision:g}": asdict(target) for target in self.targets}
        return {"targets": targets, "thresholds": [asdict(self.at(threshold)) for threshold in THRESHOLDS]}

    def _point(self, index: int) -> Point:
        share = float(self.shares[index])
        return Point(
            float(self.thresholds[index]),
            share,
            1 - share,
            float(self.precisions[index]),
            float(self.lower_bounds[index]),
        )

    def _largest(self, reached: npt.NDArray[np.bool_]) -> Point | None:
        found = np.flatnonzero(reached)
        return self._point(int(found[-1])) if len(found) else None


def automate(probabilities: Probabilities, truth: Truth) -> Automation:
    """Go down the confidences of `probabilities` [n, 5]; photos of equal confidence are answered together or not."""
    table = np.asarray(probabilities, dtype=np.float64)
    confidence = table.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (table.argmax(axis=1) == truth.true)[order]
    first = np.zeros(len(order), dtype=np.int64)
    first[np.unique(truth.group_numbers[order], return_index=True)[1]] = 1
    sorted_confidence = confidence[order]
    last = np.flatnonzero(np.append(sorted_confidence[1:] != sorted_confidence[:-1], True))
    answered = last + 1
    precisions = right.cumsum()[last] / answered
    lower, _ = bounds(precisions, first.cumsum()[last], _CONFIDENCE)
    found = Automation(sorted_confidence[last], answered / len(order), precisions, lower, ())
    targets = tuple(
        Target(wanted, found._largest(lower >= wanted), found._largest(precisions >= wanted)) for wanted in TARGETS
    )
    return Automation(found.thresholds, found.shares, found.precisions, found.lower_bounds, targets)
