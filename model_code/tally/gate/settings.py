"""What a person may set about the gate, checked once."""

import math
from dataclasses import dataclass, fields

from tally.errors import TallyError

MEASURES = {"photos": "accuracy", "counts": "class-balanced accuracy"}
"""What the gain is a gain of, by what weighs the same."""


@dataclass(frozen=True)
class GateSettings:
    """Drops and increases are absolute (0.10 = ten points of recall, 0.05 = 0.05 objects of RMSE)."""

    weighting: str = "photos"
    """What weighs the same in the gain and its test: `photos` as they come, or `counts`, each together."""
    alpha: float = 0.05
    max_macro_f1_drop: float = 0.0
    max_recall_drop: float = 0.10
    max_rmse_increase: float = 0.05
    latency_budget_ms: float = 500.0
    gain_that_matters: float = 0.02
    """Accuracy gain worth a release; a test set that would probably miss it is too small to say no."""
    wanted_power: float = 0.8
    """Chance of seeing `gain_that_matters` from which a set counts as large enough."""

    def __post_init__(self) -> None:
        if self.weighting not in MEASURES:
            raise TallyError(f"gate setting weighting is {self.weighting!r}; it must be one of: {', '.join(MEASURES)}")
        for field in fields(self):
            if field.name == "weighting":
                continue
            value = getattr(self, field.name)
            low, high, text = _ALLOWED.get(field.name, (0.0, 1.0, "between 0 and 1"))
            inside = low <= value <= high if field.name.startswith("max_") else low < value < high
            if not (math.isfinite(value) and inside):
                flag = field.name.replace("_", "-")
                raise TallyError(f"gate setting {flag} is {value}; it must be {text}")


_ALLOWED: dict[str, tuple[float, float, str]] = {
    "max_rmse_increase": (0.0, 4.0, "between 0 and 4 objects"),
    "latency_budget_ms": (0.0, math.inf, "a finite number of milliseconds above 0"),
}
