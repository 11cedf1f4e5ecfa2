"""Bounds of a share of photos that come in groups, also where all of them are right or there are few."""

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from tally.metrics import Floats

Indices = npt.NDArray[np.int64]


def observations(groups: Indices) -> float:
    """How many independent photos the photos of `groups` [n], a number a photo, are worth at least; 0 of none.

    The worst case: photos of a group are all right or all wrong together. A share of photos then varies as one of
    (sum m)^2 / sum m^2 independent ones, m photos in each group (Kish's effective sample size): the number of groups
    where all are equally large, and less where they are not.
    """
    return float(running_observations(groups)[-1]) if len(groups) else 0.0


def running_observations(groups: Indices) -> Floats:
    """`observations` of the first 1, 2, ... n photos of `groups` [n], each [n]."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    earlier = np.empty(len(groups), dtype=np.int64)  # photos of the same group before this one
    earlier[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    # A photo more in a group of m adds (m + 1)^2 - m^2 = 2 m + 1 to the sum of squares.
    return np.asarray(np.arange(1, len(groups) + 1) ** 2 / np.cumsum(2 * earlier + 1))


def bounds(share: npt.ArrayLike, worth: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Clopper & Pearson's interval for a `share` of photos that are `worth` so many independent ones, element by
    element; [0, 1] without any.

    Each bound holds with (1 + confidence) / 2. As in Korn & Graubard 1998 (Survey Methodology 24:193-201), with
    `observations` for the effective sample size: their number is estimated from how alike photos of a group are, this
    one is the least it can be. Resampling would call a share of 1 certain, however few the photos.
    """
    n = np.asarray(worth, dtype=np.float64)
    hits = np.asarray(share, dtype=np.float64) * n
    tail = (1 - confidence) / 2
    # At the ends beta is not defined: nothing right has the lower bound 0, everything right the upper bound 1.
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, beta.ppf(tail, hits, n - hits + 1), 0.0)
        high = np.where(hits < n, beta.ppf(1 - tail, hits + 1, n - hits), 1.0)
    return np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)
