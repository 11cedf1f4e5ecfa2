"""How much photos that come in groups can say: photos of one group are alike."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def observations(groups: Indices) -> float:
    """How many independent photos the photos of `groups` [n], a number a photo, are worth at least; 0 of none.

    The worst case: photos of a group are all alike, right or wrong together. A share of photos then varies as one of
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
