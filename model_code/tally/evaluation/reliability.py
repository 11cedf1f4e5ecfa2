"""The calibration curve: how often a model is right where it says how sure it is."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tally.data.observations import observations
from tally.evaluation.proportions import bounds
from tally.evaluation.scoring import Truth
from tally.metrics import CALIBRATION_BINS, calibration_bin
from tally.predictor import Probabilities


@dataclass(frozen=True)
class ReliabilityBin:
    """Photos whose confidence is above `low` and at most `high`; `interval` is that of `accuracy`, aware of groups."""

    low: float
    high: float
    photos: int
    groups: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self) | {"interval": list(self.interval)}


def reliability(probabilities: Probabilities, truth: Truth) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width that have photos, the bins over which ECE adds up."""
    table = np.asarray(probabilities, dtype=np.float64)
    confidence, right = table.max(axis=1), table.argmax(axis=1) == truth.true
    number = calibration_bin(confidence, CALIBRATION_BINS)
    found = []
    for index in np.unique(number).tolist():
        inside = number == index
        groups = truth.group_numbers[inside]
        accuracy = float(right[inside].mean())
        low, high = bounds(accuracy, observations(groups))
        found.append(
            ReliabilityBin(
                low=index / CALIBRATION_BINS,
                high=(index + 1) / CALIBRATION_BINS,
                photos=int(inside.sum()),
                groups=len(np.unique(groups)),
                confidence=float(confidence[inside].mean()),
                accuracy=accuracy,
                interval=(float(low), float(high)),
            )
        )
    return tuple(found)
