"""What the tuning job searches: the one place where its ranges are written down.

A hyperparameter is added to the search by a line here and nowhere else: the tuning job, the Train job and the checks
follow. Its name must be one of `tally.settings.TrainingSettings`, which a test holds against the ends of every range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_CHOICES = 30
_MOST_RANGES = 30  # hyperparameters that a tuning job may search, "Resource Limits" of the developer guide


@dataclass(frozen=True)
class Span:
    """Every number from `low` to `high`, only whole ones when both are ints: Span(1, 20) never tries 7.3.

    `logarithmic`: tried evenly by its logarithm.
    """

    low: float
    high: float
    logarithmic: bool = False

    def problem(self) -> str | None:
        """What SageMaker would refuse, if anything."""
        if self.logarithmic and not 0 < self.low < self.high:
            return f"is ({self.low}, {self.high}); a logarithmic range needs 0 < low < high"
        return None if self.low < self.high else f"is ({self.low}, {self.high}); a range needs low < high"

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> tuple[str, ...]:
        """The lowest and the highest value, as hyperparameters hold them."""
        return repr(self.low), repr(self.high)


@dataclass(frozen=True)
class Choice:
    """One of a few values, in no order."""

    values: tuple[str | int | float, ...]

    def problem(self) -> str | None:
        """What SageMaker would refuse, if anything."""
        count = len(self.values)
        return None if 1 <= count <= _MOST_CHOICES else f"has {count} choices; it must have 1 to {_MOST_CHOICES}"

    def ends(self) -> tuple[str, ...]:
        """Every value, as hyperparameters hold them."""
        return tuple(str(value) for value in self.values)


@dataclass(frozen=True)
class SearchSpace:
    """Hyperparameter -> what is tried. ValueError names the one that SageMaker would refuse."""

    ranges: Mapping[str, Span | Choice]

    def __post_init__(self) -> None:
        if not 1 <= len(self.ranges) <= _MOST_RANGES:
            raise ValueError(f"search space has {len(self.ranges)} hyperparameters; it must have 1 to {_MOST_RANGES}")
        for name, item in self.ranges.items():
            if problem := item.problem():
                raise ValueError(f"search space '{name}' {problem}")
        if isinstance(self.ranges.get("batch_size"), Span):
            raise ValueError("search space 'batch_size' is a range; it must be choices: ranks have to divide each")

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters that are searched."""
        return tuple(self.ranges)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Global batch sizes that a trial may get; empty when they are not searched."""
        found = self.ranges.get("batch_size")
        return tuple(int(value) for value in found.values) if isinstance(found, Choice) else ()

    def request(self) -> dict[str, list[dict[str, Any]]]:
        """ParameterRanges of CreateHyperParameterTuningJob."""
        choices = {name: item for name, item in self.ranges.items() if isinstance(item, Choice)}
        found: dict[str, list[dict[str, Any]]] = {
            "ContinuousParameterRanges": self._spans(whole=False),
            "IntegerParameterRanges": self._spans(whole=True),
            "CategoricalParameterRanges": [
                {"Name": name, "Values": list(item.ends())} for name, item in choices.items()
            ],
        }
        return {kind: items for kind, items in found.items() if items}

    def _spans(self, *, whole: bool) -> list[dict[str, Any]]:
        return [
            {
                "Name": name,
                "MinValue": repr(item.low),
                "MaxValue": repr(item.high),
                "ScalingType": "Logarithmic" if item.logarithmic else "Linear",
            }
            for name, item in self.ranges.items()
            if isinstance(item, Span) and item.whole is whole
        ]


def usual_space(pretrained: bool) -> SearchSpace:
    """What is searched unless a deployment says otherwise."""
    return FINE_TUNING if pretrained else FROM_SCRATCH


FINE_TUNING = SearchSpace(
    {
        "lr": Span(1e-4, 3e-3, logarithmic=True),  # around 1e-3; 3e-4 was no better, docs/experiments.md
        "weight_decay": Span(1e-5, 1e-1, logarithmic=True),
        "batch_size": Choice((32, 64, 128)),  # photos a step over all instances
        "dropout": Choice((0.0, 0.3, 0.5)),
        "freeze": Choice(("none", "early", "all_but_last_stage")),  # all of the backbone: TrainBaseline does that
    }
)
FROM_SCRATCH = SearchSpace(
    {
        "lr": Span(1e-4, 1e-2, logarithmic=True),
        "weight_decay": Span(1e-5, 1e-1, logarithmic=True),
        "batch_size": Choice((32, 64, 128)),
        "dropout": Choice((0.0, 0.2, 0.4)),
        "freeze": Choice(("none",)),  # a frozen backbone of random weights cannot learn
    }
)
