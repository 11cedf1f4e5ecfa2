"""Whether a photo holds what was expected: the answer to a caller who said how many objects there should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Thresholds:
    """From which probability of the expected count on a photo passes, and up to which it fails.

    The bounds make a decision agree with the count: what is more probable than half is the most probable count, and of
    five counts the most probable one has at least a fifth. ValueError outside of them.
    """

    pass_probability: float = 0.8
    fail_probability: float = 0.05

    def __post_init__(self) -> None:
        if not 0.5 < self.pass_probability <= 1:
            raise ValueError(
                f"PASS_PROBABILITY is {self.pass_probability:g}; set api.pass_probability to more than 0.5, at most 1"
            )
        if not 0 <= self.fail_probability < 0.2:
            raise ValueError(
                f"FAIL_PROBABILITY is {self.fail_probability:g}; set api.fail_probability to at least 0, less than 0.2"
            )

    def decide(self, expected_probability: float) -> str:
        """`pass`, `fail`, or `review`: a person should look."""
        if expected_probability >= self.pass_probability:
            return "pass"
        return "fail" if expected_probability <= self.fail_probability else "review"


def verify(expected_count: int, counted: Mapping[str, Any], thresholds: Thresholds) -> dict[str, Any]:
    """What an answer says beside the count when `expected_count` (1 to 5) was given.

    `counted` is the model's answer with "count" and "probabilities" (of "1" to "5").
    """
    probability = counted["probabilities"][str(expected_count)]
    return {
        "expected_count": expected_count,
        "matches": counted["count"] == expected_count,
        "expected_probability": probability,
        "decision": thresholds.decide(probability),
    }
