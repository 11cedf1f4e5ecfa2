"""Bounds of a share of photos that come in groups, also where all of them are right or there are few."""

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from tally.metrics import Floats


def bounds(share: npt.ArrayLike, worth: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Clopper & Pearson's interval for a `share` of photos that are `worth` so many independent ones, element by
    element; [0, 1] without any.

    Each bound holds with (1 + confidence) / 2. As in Korn & Graubard 1998 (Survey Methodology 24:193-201), with
    `observations` for the effective sample size: theirs is estimated from how alike photos of a group are, this one is
    the least that it can be. Resampling would call a share of 1 certain, however few the photos.
    """
    n = np.asarray(worth, dtype=np.float64)
    hits = np.asarray(share, dtype=np.float64) * n
    tail = (1 - confidence) / 2
    # At the ends beta is not defined: nothing right has the lower bound 0, everything right the upper bound 1.
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, beta.ppf(tail, hits, n - hits + 1), 0.0)
        high = np.where(hits < n, beta.ppf(1 - tail, hits + 1, n - hits), 1.0)
    return np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)
