"""Figures of one trained recipe, as if every count were equally frequent."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from tally.calibration import fit_temperature
from tally.decoding import DECODINGS, class_columns, decode, figures
from tally.metrics import balance, confusion_matrix, scalar_metrics
from tally.settings import TrainingSettings
from tally.softening import Unsoftening, soft_targets

Floats = npt.NDArray[np.float64]


def of_counts(logits: Floats, settings: TrainingSettings) -> Floats:
    """Logits of counts, `[n, 5]`, of a network that has learnt softened labels; as the platform has them."""
    targets = soft_targets(settings.softening, settings.label_smoothing)
    found: Floats = Unsoftening(targets)(torch.from_numpy(logits)).numpy()
    return found


def measures(logits: Floats, true: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Class-balanced figures of logits `[n, 5]` against class indices `[n]`, every count among them.

    Accuracy, macro-F1 and within-1 are of the argmax; RMSE is given for the three decodings, after a temperature that
    was fitted on the other half of the photos, as validation would do it.
    """
    weights = 1 / np.bincount(true)[true] / 5
    probabilities = _calibrated(logits, true)
    table = balance(confusion_matrix(true, probabilities.argmax(1)))
    found = {
        how: figures(class_columns(decode(probabilities, how), true).sum(axis=0), balanced=True) for how in DECODINGS
    }
    return {
        "accuracy": float(found["argmax"]["accuracy"]),
        "macro_f1": float(scalar_metrics(table)["macro_f1"]),
        "within_1": float(found["argmax"]["within_1"]),
        "within_1_median": float(found["median"]["within_1"]),
        **{f"rmse_{how}": float(found[how]["rmse"]) for how in DECODINGS},
        "log_loss": float(-(weights * np.log(probabilities[np.arange(len(true)), true])).sum()),
        "recall": (5 * table.diagonal()).tolist(),
    }


def _calibrated(logits: Floats, true: npt.NDArray[np.int64]) -> Floats:
    halves = np.arange(len(true)) % 2
    probabilities = np.empty_like(logits)
    for half in (0, 1):
        temperature = fit_temperature(logits[halves != half], true[halves != half])
        probabilities[halves == half] = softmax(logits[halves == half] / temperature, axis=1)
    return probabilities
