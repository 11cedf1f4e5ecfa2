"""The figures of one model as evaluation.json has them, over several seeds, and what is demanded of them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.recipes_jobs import Trained

Figures = dict[str, float]

COUNTS = ("1", "2", "3", "4", "5")
DECODINGS = ("argmax", "median", "mean")


def figures_of(model: Mapping[str, Any], trained: Trained) -> Figures:
    """The figures of one model: `model` is its part of evaluation.json, `trained` the job that made it.

    Errors are in objects, shares between 0 and 1. All but `accuracy` and the two calibration errors are class-balanced:
    over as many photos of each count. Errors come by the most probable count, the median and the mean of the
    probabilities.
    """
    balanced, decoded = model["balanced"], model["decodings"]
    recalls = {f"recall_{count}": float(model["per_class"][count]["recall"]) for count in COUNTS}
    return {
        "balanced_accuracy": float(balanced["accuracy"]),
        "macro_f1": float(balanced["macro_f1"]),
        **{f"rmse_{how}": float(decoded[how]["balanced"]["rmse"]) for how in DECODINGS},
        **{f"within_1_{how}": float(decoded[how]["balanced"]["within_1"]) for how in DECODINGS},
        **recalls,
        "least_recall": min(recalls.values()),
        "accuracy": float(model["accuracy"]),
        "ece": float(model["ece"]),
        "validation_ece": float(model["calibration"]["ece_after"]),
        "seconds": trained.seconds,
    }


def without_pixels(model: Mapping[str, Any]) -> Figures:
    """The figures of a baseline that looks at no photo."""
    balanced = model["balanced"]
    return {
        "balanced_accuracy": float(balanced["accuracy"]),
        "macro_f1": float(balanced["macro_f1"]),
        "rmse_argmax": float(balanced["rmse"]),
        "within_1_argmax": float(balanced["within_1"]),
        "accuracy": float(model["accuracy"]),
    }


@dataclass(frozen=True)
class Spread:
    """A figure over seeds; `deviation` is the sample's standard deviation, 0 for a single seed."""

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(statistics.fmean(values), deviation, min(values), max(values))


def spreads(seeds: Sequence[Figures]) -> dict[str, Spread]:
    """Each figure over the seeds."""
    return {name: Spread.of([figures[name] for figures in seeds]) for name in seeds[0]}


@dataclass(frozen=True)
class Target:
    """What one figure must reach, or must not exceed: the mean over the seeds."""

    name: str
    figure: str
    bound: float
    at_least: bool = True
    every_seed: bool = False  # each seed must hold it, not only their mean

    def holds(self, value: float) -> bool:
        """Whether `value` meets the bound."""
        return value >= self.bound if self.at_least else value <= self.bound

    def demand(self) -> str:
        """The bound in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"


# Issue 5, "What must hold": accuracy by the most probable count, errors by the answer that is made for them.
TARGETS = (
    Target("class-balanced accuracy", "balanced_accuracy", 0.45),
    Target("class-balanced RMSE, by the mean", "rmse_mean", 1.06, at_least=False),
    Target("class-balanced within 1, by the median", "within_1_median", 0.80),
    Target("class-balanced macro-F1", "macro_f1", 0.43),
    Target("least recall of a count, every seed", "least_recall", 0.25, every_seed=True),
    Target("ECE on validation", "validation_ece", 0.05, at_least=False),
)
GAIN = Target("gain over the plain recipe, class-balanced accuracy", "balanced_accuracy", 0.06)


@dataclass(frozen=True)
class Claim:
    """A line of the table of what must hold."""

    name: str
    demand: str
    found: str
    holds: bool


def claims(recipe: Sequence[Figures], plain: Sequence[Figures], gates: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Hold the default recipe against the targets; each argument has one item a seed."""
    over_seeds, seeds = spreads(recipe), len(gates)
    found = [_claim(target, over_seeds[target.figure]) for target in TARGETS]
    gains = [mine[GAIN.figure] - theirs[GAIN.figure] for mine, theirs in zip(recipe, plain, strict=True)]
    found.append(_claim(GAIN, Spread.of(gains)))
    better = sum(gate["p_value"] < gate["alpha"] and gate["gain"] > 0 for gate in gates)
    promoted = sum(gate["verdict"] == "promote" for gate in gates)
    as_long = sum(theirs["seconds"] >= mine["seconds"] for mine, theirs in zip(recipe, plain, strict=True))
    every = (
        ("the gate's test: better, p below alpha", better),
        ("the gate's verdict: promote", promoted),
        ("the plain recipe was trained at least as long", as_long),
    )
    return [*found, *(Claim(name, "every seed", f"{held} of {seeds}", held == seeds) for name, held in every)]


def _claim(target: Target, spread: Spread) -> Claim:
    found = f"{spread.mean:.3f} ± {spread.deviation:.3f} ({spread.low:.3f} to {spread.high:.3f})"
    decides = (spread.low if target.at_least else spread.high) if target.every_seed else spread.mean
    return Claim(target.name, target.demand(), found, target.holds(decides))
