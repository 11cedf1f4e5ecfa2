"""evaluation.json and predictions.csv: what the evaluation leaves for programs."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.data.shards import Split
from tally.evaluation.bootstrap import GroupBootstrap, Interval, interval, intervals
from tally.evaluation.monitor import registry_metrics
from tally.evaluation.scoring import Scored, Truth
from tally.gate import Verdict
from tally.labels import COUNTS
from tally.metrics import (
    CALIBRATION_BINS,
    Floats,
    Matrix,
    Metrics,
    calibration_gaps,
    confusion_metrics,
    expected_calibration_error,
    scalar_metrics,
)

_KEPT = ("backbone", "image_size", "train_sha256", "git_commit", "versions")
"""What evaluation.json repeats of a model's own description, where it has it."""


@dataclass(frozen=True)
class Assessment:
    """One model's metrics; `ece` and `latency_ms` are None for the majority baseline, which has neither."""

    name: str
    model: str
    description: Mapping[str, Any]
    matrix: Matrix
    replicates: Floats
    metrics: Metrics
    intervals: Mapping[str, Interval]
    ece: float | None = None
    latency_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data: the metrics flat, `intervals` as metric -> [low, high]."""
        return {
            "model": self.model,
            **{key: self.description[key] for key in _KEPT if key in self.description},
            **self.metrics.as_dict(),
            "ece": self.ece,
            "intervals": {name: [found.low, found.high] for name, found in self.intervals.items()},
            "confusion_matrix": self.matrix.tolist(),
            "latency_ms": self.latency_ms,
        }


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found out; `assessments` by name: the three models and "majority"."""

    split: Split
    truth: Truth
    scored: Mapping[str, Scored]
    assessments: Mapping[str, Assessment]
    verdict: Verdict
    champion_name: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What evaluation.json holds."""
        challenger = self.assessments["challenger"]
        summary = self.verdict.summary(
            test_sha256=self.split.sha256, champion=self.champion_name[:256], challenger_model=challenger.model
        )
        return {
            "version": 0,
            "multiclass_classification_metrics": registry_metrics(challenger.matrix, challenger.replicates),
            "models": {name: assessment.as_dict() for name, assessment in self.assessments.items()},
            "test": {"sha256": self.split.sha256, "photos": len(self.split), "groups": self.verdict.groups},
            "champion_name": self.champion_name,
            "gate": self.verdict.as_dict() | {"summary": summary},
            "warnings": list(self.warnings),
        }


def assess(name: str, scored: Scored, truth: Truth, bootstrap: GroupBootstrap, latency_ms: float) -> Assessment:
    """Metrics of one model, each with its interval."""
    matrix = scored.confusion(truth)
    replicates = bootstrap.matrices(truth.true, scored.predicted)
    gaps = bootstrap.sums(calibration_gaps(scored.probabilities, truth.true, CALIBRATION_BINS))
    ece = np.abs(gaps).sum(axis=1) / replicates.sum(axis=(1, 2))
    return Assessment(
        name=name,
        model=scored.model,
        description=scored.description,
        matrix=matrix,
        replicates=replicates,
        metrics=confusion_metrics(matrix),
        intervals={**intervals(scalar_metrics, replicates), "ece": interval(ece)},
        ece=expected_calibration_error(scored.probabilities, truth.true),
        latency_ms=latency_ms,
    )


def assess_majority(truth: Truth, bootstrap: GroupBootstrap) -> Assessment:
    """Metrics of always answering the commonest count of the test set (the lower one of equals)."""
    best = int(np.bincount(truth.true).argmax())
    answers = np.full_like(truth.true, best)
    matrix = np.zeros((len(COUNTS), len(COUNTS)), dtype=np.int64)
    matrix[:, best] = np.bincount(truth.true, minlength=len(COUNTS))
    replicates = bootstrap.matrices(truth.true, answers)
    return Assessment(
        name="majority",
        model=f"always {COUNTS[best]}",
        description={},
        matrix=matrix,
        replicates=replicates,
        metrics=confusion_metrics(matrix),
        intervals=intervals(scalar_metrics, replicates),
    )


def write_predictions(path: Path, split: Split, models: Mapping[str, Scored]) -> None:
    """One row a photo, sorted by id: what is true, and each model's count, confidence and probabilities."""
    columns = ["id", "group", "source", "count"]
    for name in models:
        columns += [f"{name}_count", f"{name}_confidence", *(f"{name}_p{count}" for count in COUNTS)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for index, photo in enumerate(split.photos):
            row: list[str | int] = [photo.id, photo.group, photo.source, photo.count]
            for scored in models.values():
                found = scored.probabilities[index]
                row += [COUNTS[int(found.argmax())], f"{found.max():.6f}", *(f"{value:.6f}" for value in found)]
            writer.writerow(row)
