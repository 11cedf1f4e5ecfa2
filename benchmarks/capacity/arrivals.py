"""When requests come: a Poisson process, as of many callers who know nothing of each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Phase = tuple[float, float]
"""Requests per second, and for how many seconds."""


def poisson(phases: Sequence[Phase], chance: np.random.Generator) -> NDArray[np.float64]:
    """Seconds of the arrivals, ascending, of phases that follow each other from second 0.

    Given their number, arrivals of a Poisson process are spread evenly and independently (Ross, Introduction to
    Probability Models, section 5.3).
    """
    found, begin = [], 0.0
    for rate, seconds in phases:
        number = int(chance.poisson(rate * seconds))
        found.append(begin + np.sort(chance.random(number)) * seconds)
        begin += seconds
    return np.concatenate(found) if found else np.empty(0)


def of_a_window(rate: float, seconds: float, chance: np.random.Generator) -> NDArray[np.float64]:
    """Seconds of just as many arrivals as `rate` says, ascending: a Poisson process of which the number is known.

    Near its limit a server that gets 3% more or less by chance is judged otherwise; a short window would be a lottery.
    """
    return np.sort(chance.random(round(rate * seconds))) * seconds
