"""Temperature scaling: one number that makes confidences mean what they say, without changing any count."""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(logits: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Return the temperature that minimises the cross-entropy of softmax(logits / temperature), 0.05 to 20.

    Guo, Pleiss, Sun & Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2. `logits` is float
    [n, 5], `true` class indices [n]. ValueError when there are no photos or a logit is not finite.
    """
    scores, classes = np.asarray(logits, dtype=np.float64), np.asarray(true)
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"a temperature needs finite logits of at least one photo; got {scores.shape}")

    def cross_entropy(log_temperature: float) -> float:
        return -float(log_softmax(scores / math.exp(log_temperature), axis=1)[np.arange(len(classes)), classes].mean())

    # Convex in 1 / temperature, so with one minimum in its logarithm too.
    bounds = (math.log(_LOWEST), math.log(_HIGHEST))
    return math.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
