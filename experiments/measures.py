"""Figures of one trained recipe, as if every count were equally frequent."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from tally.calibration import fit_temperature

Floats = npt.NDArray[np.float64]


def measures(logits: Floats, true: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Class-balanced figures of logits `[n, 5]` against class indices `[n]`.

    Accuracy, macro-F1 and within-1 are of the argmax; RMSE is given for the three decodings, argmax, median and mean,
    after a temperature that was fitted on the other half of the photos, as validation would do it.
    """
    weights = 1 / np.bincount(true, minlength=5)[true] / 5
    probabilities = _calibrated(logits, true)
    predicted = probabilities.argmax(1)
    table = np.zeros((5, 5))
    np.add.at(table, (true, predicted), weights)
    hits = table.diagonal()
    median = (probabilities.cumsum(1) < 0.5).sum(1)

    def rmse(answers: npt.NDArray[Any]) -> float:
        return float(np.sqrt((weights * (answers - true) ** 2).sum()))

    return {
        "accuracy": float(hits.sum()),
        "macro_f1": float((2 * hits / (table.sum(0) + table.sum(1))).mean()),
        "within_1": float((weights * (abs(predicted - true) <= 1)).sum()),
        "within_1_median": float((weights * (abs(median - true) <= 1)).sum()),
        "rmse_argmax": rmse(predicted),
        "rmse_median": rmse(median),
        "rmse_mean": rmse(probabilities @ np.arange(5)),
        "log_loss": float(-(weights * np.log(probabilities[np.arange(len(true)), true])).sum()),
        "recall": (5 * hits).tolist(),
    }


def _calibrated(logits: Floats, true: npt.NDArray[np.int64]) -> Floats:
    halves = np.arange(len(true)) % 2
    probabilities = np.empty_like(logits)
    for half in (0, 1):
        temperature = fit_temperature(logits[halves != half], true[halves != half])
        probabilities[halves == half] = softmax(logits[halves == half] / temperature, axis=1)
    return probabilities
