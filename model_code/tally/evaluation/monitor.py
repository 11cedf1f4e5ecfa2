"""The challenger's metrics in the form that SageMaker's Model Registry draws (Model Monitor's multiclass metrics).

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-metrics.html
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.evaluation.bootstrap import intervals
from tally.labels import COUNTS
from tally.metrics import Floats, Matrix

_BETAS = {"weighted_f0_5": 0.5, "weighted_f1": 1.0, "weighted_f2": 2.0}


def weighted_metrics(matrices: npt.ArrayLike) -> Mapping[str, Floats]:
    """Accuracy, and recall, precision and F-beta averaged with the classes' shares, for matrices [..., 5, 5].

    A ratio without a denominator is 0.
    """
    table = np.asarray(matrices, dtype=np.float64)
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    true, predicted = table.sum(axis=-1), table.sum(axis=-2)
    share = true / true.sum(axis=-1, keepdims=True)

    def weighted(numerator: Floats, denominator: Floats) -> Floats:
        ratio = np.divide(numerator, denominator, out=np.zeros_like(hits), where=denominator > 0)
        return np.asarray((ratio * share).sum(axis=-1))

    fs = {name: weighted((1 + b * b) * hits, b * b * true + predicted) for name, b in _BETAS.items()}
    # Weighted by its own share, recall is accuracy.
    accuracy = hits.sum(axis=-1) / true.sum(axis=-1)
    return {"accuracy": accuracy, "weighted_recall": accuracy, "weighted_precision": weighted(hits, predicted), **fs}


def registry_metrics(matrix: Matrix, replicates: Floats) -> dict[str, Any]:
    """Build `multiclass_classification_metrics` from the confusion matrix and its bootstrap replicates."""
    best = int(matrix.sum(axis=1).argmax())
    metrics = _with_deviation(matrix, replicates, "")
    constant = _with_deviation(_always(matrix, best), _always(replicates, best), "_best_constant_classifier")
    confusion = {
        str(count): {str(other): int(cell) for other, cell in zip(COUNTS, row, strict=True)}
        for count, row in zip(COUNTS, matrix, strict=True)
    }
    return {"confusion_matrix": confusion, **metrics, **constant}


def _always(matrices: npt.NDArray[Any], predicted: int) -> npt.NDArray[Any]:
    """What the matrices would be if every photo were given the class `predicted`."""
    table = np.zeros_like(matrices)
    table[..., predicted] = matrices.sum(axis=-1)
    return table


def _with_deviation(matrix: npt.NDArray[Any], replicates: Floats, suffix: str) -> dict[str, dict[str, float]]:
    deviations = intervals(weighted_metrics, replicates)
    return {
        f"{name}{suffix}": {"value": float(value), "standard_deviation": deviations[name].standard_deviation}
        for name, value in weighted_metrics(matrix).items()
    }
