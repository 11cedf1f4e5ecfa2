"""From five probabilities to one answer: the most probable count, the median or the mean of the same distribution.

    argmax   is right most often: the count that a caller gets, and what accuracy, recall and the gate judge
    median   has the smallest absolute error: a whole count for where being far off costs more than being off
    mean     has the smallest squared error: not a whole number; for totals over many bins

They differ where the model wavers between counts that are far apart.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tally.labels import COUNTS
from tally.metrics import Floats

DECODINGS = ("argmax", "median", "mean")
FIGURES = ("accuracy", "within_1", "mae", "rmse")

_VALUES = np.array(COUNTS, dtype=np.float64)
_HALF = 0.5 - 1e-6
"""A cumulated probability that is a half in decimal must reach it in the float32 of a model."""


def decode(probabilities: npt.ArrayLike, how: str) -> Floats:
    """Answers [n] in objects of `probabilities` [n, 5]; `how` is one of DECODINGS.

    Of two counts with half of the probability on either side the median is the lower one.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    table = table / table.sum(axis=1, keepdims=True)
    if how == "argmax":
        return np.asarray(_VALUES[table.argmax(axis=1)])
    if how == "median":
        return np.asarray(_VALUES[(table.cumsum(axis=1) >= _HALF).argmax(axis=1)])
    if how == "mean":
        return np.asarray(table @ _VALUES, dtype=np.float64)
    raise ValueError(f"decoding is {how!r}; it must be one of {', '.join(DECODINGS)}")


def class_columns(answers: npt.NDArray[np.float64], true: npt.NDArray[np.int64]) -> Floats:
    """What `figures` adds up, [n, 25]: for each of five true counts photo, right, within 1, absolute, squared error.

    `answers` [n] in objects, `true` class indices [n]. For right and within 1 an answer is rounded to a whole count, as
    a person would have to; errors are of the answer as it is.
    """
    error = answers - _VALUES[true]
    off = np.abs(np.floor(answers + 0.5) - _VALUES[true])
    columns = np.stack([np.ones_like(error), off == 0, off <= 1, np.abs(error), error**2], axis=1)
    table = np.zeros((len(true), len(COUNTS), columns.shape[1]))
    table[np.arange(len(true)), true] = columns
    return table.reshape(len(true), -1)


def figures(sums: npt.ArrayLike, *, balanced: bool) -> Mapping[str, Floats]:
    """FIGURES from summed `class_columns` [..., 25] -> each [...], see `means`. RMSE and MAE are in objects."""
    right, within, absolute, squared = np.moveaxis(means(sums, balanced=balanced), -1, 0)
    return {"accuracy": right, "within_1": within, "mae": absolute, "rmse": np.sqrt(squared)}


def means(sums: npt.ArrayLike, *, balanced: bool) -> Floats:
    """Means over photos of k - 1 columns -> [..., k - 1], from sums [..., 5 k]: for each count photos, then columns.

    Balanced: as if each count were equally frequent. Counts without photos do not count.
    """
    table = np.asarray(sums, dtype=np.float64)
    table = table.reshape(*table.shape[:-1], len(COUNTS), -1)
    photos, columns = table[..., :1], table[..., 1:]
    if balanced:
        by_count = np.divide(columns, photos, out=np.zeros_like(columns), where=photos > 0)
        return np.asarray(by_count.sum(axis=-2) / (photos > 0).sum(axis=-2))
    return np.asarray(columns.sum(axis=-2) / photos.sum(axis=-2))
