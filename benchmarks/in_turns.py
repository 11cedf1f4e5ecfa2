"""Figures that are compared come from one run: in every round each side comes once, in a random order.

Machines drift by a factor of two and more between two runs, and within one; ratios are taken within a round.
"""

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Figure = TypeVar("Figure")


def in_turns(sides: Mapping[str, Callable[[], Figure]], rounds: int, seed: int = 0) -> dict[str, list[Figure]]:
    """What each side gave, a value a round; the order differs from round to round and is the same in every run."""
    found: dict[str, list[Figure]] = {name: [] for name in sides}
    order, chance = list(sides), random.Random(seed)
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            found[name].append(sides[name]())
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most of ours over theirs, round by round."""
    found = [one / other for one, other in zip(ours, theirs, strict=True)]
    return statistics.median(found), min(found), max(found)


def spread(values: Sequence[float], digits: int) -> str:
    """Median, and least to most."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def times(ratio: Sequence[float]) -> str:
    """What `ratios` gives, in words."""
    return f"{ratio[0]:.2f} times ({ratio[1]:.2f} to {ratio[2]:.2f})"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
