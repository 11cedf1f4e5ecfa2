"""How good a set of predicted counts is. All but calibration comes from a confusion matrix, so ranks can add theirs.

Where a ratio has no denominator it is 0 (as sklearn's `zero_division=0`): precision of a count never predicted, recall
and errors of a count without photos. Macro averages run over the counts that have photos: the same set for every model
judged on the same photos, and a count missing from a small test set costs nobody anything.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.labels import COUNTS

Matrix = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_VALUES = np.array(COUNTS, dtype=np.float64)
_ERROR = _VALUES[None, :] - _VALUES[:, None]
"""[true, predicted] -> predicted count minus true count."""

CALIBRATION_BINS = 15

SCALARS = (
    "accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "rmse",
    "mae",
    "within_1",
    "quadratic_kappa",
)
"""Names of the whole-set metrics, in the order reports show them."""


@dataclass(frozen=True)
class ClassMetrics:
    """One count against the rest. `rmse` is over the photos that truly show this count."""

    count: int
    photos: int
    precision: float
    recall: float
    f1: float
    accuracy: float
    rmse: float


@dataclass(frozen=True)
class Metrics:
    """Whole-set metrics; `rmse` and `mae` are in objects, `within_1` is the share of photos off by at most one."""

    photos: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    rmse: float
    mae: float
    within_1: float
    quadratic_kappa: float
    per_class: tuple[ClassMetrics, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; `per_class` is keyed by the count as a string."""
        scalars = {name: getattr(self, name) for name in ("photos", *SCALARS)}
        return scalars | {"per_class": {str(row.count): asdict(row) for row in self.per_class}}


def confusion_matrix(true: npt.ArrayLike, predicted: npt.ArrayLike) -> Matrix:
    """Count pairs of class indices (0-4, see `labels.COUNTS`) -> int64 [5, 5], rows true.

    ValueError when the two differ in length, are empty, or hold an index outside 0-4.
    """
    rows, columns = np.asarray(true), np.asarray(predicted)
    if rows.ndim != 1 or rows.shape != columns.shape or not rows.size:
        raise ValueError(
            f"confusion matrix of {rows.shape} true and {columns.shape} predicted counts: need equal, not 0"
        )
    for name, indices in (("true", rows), ("predicted", columns)):
        if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= len(COUNTS):
            raise ValueError(f"{name} class indices must be integers from 0 to {len(COUNTS) - 1}")
    size = len(COUNTS)
    flat = rows.astype(np.int64) * size + columns.astype(np.int64)
    return np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.int64)


def confusion_metrics(matrix: npt.ArrayLike) -> Metrics:
    """Every metric of one confusion matrix, int [5, 5], rows true; ValueError when it is empty or misshapen."""
    table = np.asarray(matrix)
    if table.shape != (len(COUNTS), len(COUNTS)) or table.min() < 0 or table.sum() < 1:
        raise ValueError(f"a confusion matrix is {len(COUNTS)} x {len(COUNTS)} counts with at least one photo: {table}")
    scalars = {name: float(value) for name, value in scalar_metrics(table).items()}
    return Metrics(photos=int(table.sum()), **scalars, per_class=_per_class(table))


def scalar_metrics(matrices: npt.ArrayLike) -> Mapping[str, Floats]:
    """The metrics of SCALARS for a stack of non-empty confusion matrices [..., 5, 5] -> each [...].

    Quadratic kappa is Cohen's (1968) with weights (i - j)^2; when chance leaves no disagreement (all photos and all
    predictions are one count) it is 1.
    """
    table = np.asarray(matrices, dtype=np.float64)
    total = table.sum(axis=(-2, -1))
    true, predicted = table.sum(axis=-1), table.sum(axis=-2)
    precision, recall, f1 = _ratios(table)
    present = true > 0
    classes = present.sum(axis=-1)

    def macro(values: Floats) -> Floats:
        return np.asarray((values * present).sum(axis=-1) / classes)

    squares, distance = _ERROR**2, np.abs(_ERROR)
    observed = (table * squares).sum(axis=(-2, -1)) / total
    chance = np.einsum("...i,ij,...j->...", true, squares, predicted) / total**2
    return {
        "accuracy": np.trace(table, axis1=-2, axis2=-1) / total,
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "macro_f1": macro(f1),
        "rmse": np.sqrt(observed),
        "mae": (table * distance).sum(axis=(-2, -1)) / total,
        "within_1": (table * (distance <= 1)).sum(axis=(-2, -1)) / total,
        "quadratic_kappa": 1 - _divide(observed, chance),
    }


def balance(matrices: npt.ArrayLike) -> Floats:
    """Row-normalise confusion matrices [..., 5, 5]: every count that has photos weighs the same, and one photo in all.

    `scalar_metrics` of the result are the class-balanced figures: those of a test set with equally many photos of
    every count (sklearn's with `sample_weight` 1 / photos of the true count). Class-balanced accuracy is macro recall.
    """
    table = np.asarray(matrices, dtype=np.float64)
    photos = table.sum(axis=-1, keepdims=True)
    present = (photos > 0).sum(axis=-2, keepdims=True)
    return np.asarray(np.divide(table, photos * present, out=np.zeros_like(table), where=photos > 0))


def expected_calibration_error(
    probabilities: npt.ArrayLike, true: npt.ArrayLike, bins: int = CALIBRATION_BINS
) -> float:
    """Mean gap between confidence and accuracy over equal-width confidence bins (Guo et al. 2017, eq. 3).

    `probabilities` [n, 5], `true` class indices [n]; a confidence on a border belongs to the bin below it.
    """
    gaps = calibration_gaps(probabilities, true, bins)
    return float(np.abs(gaps.sum(axis=0)).sum() / len(gaps))


def calibration_gaps(probabilities: npt.ArrayLike, true: npt.ArrayLike, bins: int) -> Floats:
    """Each photo's (right - confidence) in the column of its confidence bin, [n, bins]: what ECE adds up."""
    table, answers = np.asarray(probabilities, dtype=np.float64), np.asarray(true)
    if table.ndim != 2 or table.shape != (len(answers), len(COUNTS)) or not len(answers):
        raise ValueError(f"calibration of probabilities {table.shape} against {answers.shape} true counts: need [n, 5]")
    confidence, right = table.max(axis=1), table.argmax(axis=1) == answers
    gaps = np.zeros((len(table), bins))
    gaps[np.arange(len(table)), calibration_bin(confidence, bins)] = right - confidence
    return gaps


def calibration_bin(confidence: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.int64]:
    """Number, from 0, of the equal-width bin of each confidence [n]; one on a border belongs to the bin below it."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _per_class(table: npt.NDArray[Any]) -> tuple[ClassMetrics, ...]:
    precision, recall, f1 = _ratios(table)
    photos, total = table.sum(axis=1), table.sum()
    accuracy = 1 - (photos + table.sum(axis=0) - 2 * np.diagonal(table)) / total
    rmse = np.sqrt(_divide((table * _ERROR**2).sum(axis=1), photos))
    return tuple(
        ClassMetrics(
            count=count,
            photos=int(photos[i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            accuracy=float(accuracy[i]),
            rmse=float(rmse[i]),
        )
        for i, count in enumerate(COUNTS)
    )


def _ratios(table: npt.NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    true, predicted = table.sum(axis=-1), table.sum(axis=-2)
    return _divide(hits, predicted), _divide(hits, true), _divide(2 * hits, true + predicted)


def _divide(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> Floats:
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
