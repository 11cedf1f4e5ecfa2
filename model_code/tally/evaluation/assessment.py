"""What is known of one model: its metrics with intervals, and what its probabilities are worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tally.decoding import DECODINGS, class_columns, decode, figures
from tally.evaluation.automation import Automation, automate
from tally.evaluation.bootstrap import GroupBootstrap, Interval, interval, intervals
from tally.evaluation.card_metrics import is_number
from tally.evaluation.orders import Shares, order_check
from tally.evaluation.reliability import ReliabilityBin, reliability
from tally.evaluation.rules import Indices
from tally.evaluation.scoring import Scored, Truth
from tally.metrics import (
    CALIBRATION_BINS,
    Floats,
    Matrix,
    Metrics,
    balance,
    calibration_gaps,
    confusion_matrix,
    confusion_metrics,
    expected_calibration_error,
    scalar_metrics,
)
from tally.predictor import Probabilities

_CALIBRATION = ("temperature", "ece_before", "ece_after")
_BY_ANSWER = ("temperatures", "biases")
_KEPT = ("backbone", "image_size", "train_sha256", "git_commit", "versions")
"""What evaluation.json repeats of a model's own description, where it has it."""


@dataclass(frozen=True)
class Decoded:
    """Figures of one way to make an answer of the probabilities, over photos as they come and class-balanced."""

    raw: Mapping[str, float]
    balanced: Mapping[str, float]
    intervals: Mapping[str, Interval]
    balanced_intervals: Mapping[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data: raw figures flat."""
        return {
            **self.raw,
            "intervals": _sides(self.intervals),
            "balanced": {**self.balanced, "intervals": _sides(self.balanced_intervals)},
        }


@dataclass(frozen=True)
class Study:
    """What the probabilities are worth: decodings by name, calibration curve, automation, order check by situation."""

    decodings: Mapping[str, Decoded]
    reliability: tuple[ReliabilityBin, ...]
    automation: Automation
    orders: Mapping[str, Shares]


@dataclass(frozen=True)
class Assessment:
    """One model's metrics. Baselines that look at no photo have no `study`, `ece`, `latency_ms` and
    `photos_per_second` (of all CPUs, over the whole split).

    `balanced` are the metrics of SCALARS as if every count were equally frequent.
    """

    name: str
    model: str
    description: Mapping[str, Any]
    matrix: Matrix
    replicates: Floats
    metrics: Metrics
    intervals: Mapping[str, Interval]
    balanced: Mapping[str, float]
    balanced_intervals: Mapping[str, Interval]
    study: Study | None = None
    ece: float | None = None
    latency_ms: float | None = None
    photos_per_second: float | None = None

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """What the model says of its `calibration.Calibration`; None where that is not what one says.

        Only what is shown of it; models of older releases have no more than `temperature`, `ece_before`, `ece_after`.
        """
        said = self.description.get("calibration")
        if not isinstance(said, dict) or not said.keys() >= set(_CALIBRATION):
            return None
        found = {name: said[name] for name in (*_CALIBRATION, "ece_tempered", *_BY_ANSWER) if name in said}
        numbers = [found[name] for name in found if name not in _BY_ANSWER]
        for name in _BY_ANSWER:
            column = found.get(name, [])
            numbers += column if isinstance(column, list) else [None]
        return found if all(map(is_number, numbers)) else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data: the metrics flat, `intervals` as metric -> [low, high]."""
        plain = {
            "model": self.model,
            **{key: self.description[key] for key in _KEPT if key in self.description},
            **self.metrics.as_dict(),
            "ece": self.ece,
            "intervals": _sides(self.intervals),
            "balanced": {**self.balanced, "intervals": _sides(self.balanced_intervals)},
            "confusion_matrix": self.matrix.tolist(),
            "latency_ms": self.latency_ms,
            "photos_per_second": self.photos_per_second,
        }
        if self.study is None:
            return plain
        return plain | {
            "decodings": {name: decoded.as_dict() for name, decoded in self.study.decodings.items()},
            "calibration": self.calibration,
            "reliability": [row.as_dict() for row in self.study.reliability],
            "automation": self.study.automation.as_dict(),
            "orders": {name: shares.as_dict() for name, shares in self.study.orders.items()},
        }


def assess(name: str, scored: Scored, truth: Truth, bootstrap: GroupBootstrap, latency_ms: float) -> Assessment:
    """Metrics of one model, each with its interval.

    The interval of ECE is the basic one (Davison & Hinkley 1997, "Bootstrap Methods and their Application", ch. 5.2),
    2 ECE minus the percentiles, at least 0: ECE adds up absolute gaps, which resampling raises on average. Simulated on
    300 photos with a true ECE of 0.05 it holds in 88% of test sets, the percentiles in 7%. Of a calibrated model it is
    still too high in half of them, for the ECE of a small test set itself is.
    """
    found = assess_answers(name, scored.model, scored.predicted, truth, bootstrap)
    gaps = bootstrap.sums(calibration_gaps(scored.probabilities, truth.true, CALIBRATION_BINS))
    ece = expected_calibration_error(scored.probabilities, truth.true)
    resampled = interval(np.abs(gaps).sum(axis=1) / found.replicates.sum(axis=(1, 2)))
    sides = replace(resampled, low=max(0.0, 2 * ece - resampled.high), high=max(0.0, 2 * ece - resampled.low))
    return Assessment(
        name=name,
        model=found.model,
        description=scored.description,
        matrix=found.matrix,
        replicates=found.replicates,
        metrics=found.metrics,
        intervals={**found.intervals, "ece": sides},
        balanced=found.balanced,
        balanced_intervals=found.balanced_intervals,
        study=_study(scored.probabilities, truth, bootstrap),
        ece=ece,
        latency_ms=latency_ms,
        photos_per_second=scored.photos_per_second,
    )


def assess_answers(name: str, model: str, answers: Indices, truth: Truth, bootstrap: GroupBootstrap) -> Assessment:
    """Metrics of bare answers, class indices [n]: a baseline that looks at no photo; `model` says what it does."""
    matrix = confusion_matrix(truth.true, answers)
    replicates = bootstrap.matrices(truth.true, answers)
    return Assessment(
        name=name,
        model=model,
        description={},
        matrix=matrix,
        replicates=replicates,
        metrics=confusion_metrics(matrix),
        intervals=intervals(scalar_metrics, replicates),
        balanced={key: float(value) for key, value in scalar_metrics(balance(matrix)).items()},
        balanced_intervals=intervals(lambda matrices: scalar_metrics(balance(matrices)), replicates),
    )


def _study(probabilities: Probabilities, truth: Truth, bootstrap: GroupBootstrap) -> Study:
    return Study(
        decodings={how: _decoded(probabilities, how, truth, bootstrap) for how in DECODINGS},
        reliability=reliability(probabilities, truth),
        automation=automate(probabilities, truth),
        orders=order_check(probabilities, truth),
    )


def _decoded(probabilities: Probabilities, how: str, truth: Truth, bootstrap: GroupBootstrap) -> Decoded:
    columns = class_columns(decode(probabilities, how), truth.true)
    point, replicates = columns.sum(axis=0), bootstrap.sums(columns)

    def both(balanced: bool) -> tuple[Mapping[str, float], Mapping[str, Interval]]:
        values = {name: float(value) for name, value in figures(point, balanced=balanced).items()}
        return values, intervals(lambda sums: figures(sums, balanced=balanced), replicates)

    (raw, sides), (balanced, balanced_sides) = both(False), both(True)
    return Decoded(raw, balanced, sides, balanced_sides)


def _sides(found: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: [sides.low, sides.high] for name, sides in found.items()}
