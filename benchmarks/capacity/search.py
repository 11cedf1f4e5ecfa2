"""The highest rate that holds, by bracketing and bisection."""

from collections.abc import Callable

from benchmarks.errors import BenchError

_STEP = 1.25  # from one rate of the bracket to the next
_TRIES = 20  # of the bracket: a factor of 87
_LONGER = 8  # rates that longer windows are tried with


def highest(holds: Callable[[float], bool], first: float, resolution: float) -> float:
    """The highest rate found that holds; one that is higher by the share `resolution` does not.

    Goes up from `first` until a rate does not hold (down until one does, when `first` does not), then halves what is
    between. BenchError when neither end is found.
    """
    good, bad = 0.0, 0.0
    rate = first
    for _ in range(_TRIES):
        if holds(rate):
            good = rate
        else:
            bad = rate
        if good and bad:
            break
        rate = good * _STEP if good else bad / _STEP
    else:
        end = f"even {rate:.3g}/s is not carried" if bad else f"even {rate:.3g}/s is carried"
        raise BenchError(f"no limit found: {end}; look at the server's log, or set another --budget-ms")
    while bad / good - 1 > resolution:
        middle = (good + bad) / 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return good


def confirmed(holds: Callable[[float], bool], found: float, resolution: float) -> float:
    """The highest of `found` and a few rates below it, `resolution` apart, that holds in a longer window.

    BenchError when none does.
    """
    rates = [found / (1 + resolution) ** number for number in range(_LONGER)]
    for rate in rates:
        if holds(rate):
            return rate
    raise BenchError(
        f"{found:.3g}/s held in short windows and {rates[-1]:.3g}/s not in a long one: something else takes the "
        "CPUs; run it on a quiet machine, or with longer windows: --seconds"
    )
