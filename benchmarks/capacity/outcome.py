"""What a surge came to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.capacity.surge import Moment, Scenario
from benchmarks.capacity.tracking import CONCURRENCY_SECONDS
from benchmarks.capacity.windows import IN_BUDGET

_STEPS = 60 // CONCURRENCY_SECONDS


@dataclass(frozen=True)
class Outcome:
    """Requests, instances and money of a simulation.

    `recovered`: minutes from the begin of the surge until 99% of the requests of a minute were in time and remained so
    while it lasted; None when they did not before it ended. `per_million` is the cost of a million answered requests,
    `base_per_million` of those before the surge.
    """

    requests: int
    in_time: int
    late: int
    lost: int
    recovered: int | None
    base_instances: int
    most_instances: int
    instance_hours: float
    cost: float
    per_million: float
    base_per_million: float


def outcome(moments: Sequence[Moment], scenario: Scenario, price_per_hour: float) -> Outcome:
    """Add up; instances cost from the moment they are asked for."""
    requests, late, lost = (_sum(moments, name) for name in ("offered", "late", "lost"))
    first = int(scenario.before // CONCURRENCY_SECONDS)
    last = first + int(scenario.during // CONCURRENCY_SECONDS)
    return Outcome(
        requests=requests,
        in_time=requests - lost - late,
        late=late,
        lost=lost,
        recovered=_recovered(moments[first:last]),
        base_instances=moments[first - 1].active,
        most_instances=max(moment.active for moment in moments),
        instance_hours=_hours(moments),
        cost=_hours(moments) * price_per_hour,
        per_million=_per_million(moments, price_per_hour),
        base_per_million=_per_million(moments[:first], price_per_hour),
    )


def _sum(moments: Sequence[Moment], name: str) -> int:
    return sum(getattr(moment, name) for moment in moments)


def _hours(moments: Sequence[Moment]) -> float:
    return _sum(moments, "paid") * CONCURRENCY_SECONDS / 3600


def _per_million(moments: Sequence[Moment], price_per_hour: float) -> float:
    answered = _sum(moments, "offered") - _sum(moments, "lost")
    return 1e6 * _hours(moments) * price_per_hour / answered if answered else math.inf


def _recovered(surge: Sequence[Moment]) -> int | None:
    minutes = [surge[begin : begin + _STEPS] for begin in range(0, len(surge), _STEPS)]
    bad = [number for number, minute in enumerate(minutes, 1) if _share(minute) < IN_BUDGET]
    if bad and bad[-1] == len(minutes):
        return None
    return bad[-1] if bad else 0


def _share(minute: Sequence[Moment]) -> float:
    """Of its requests, in time."""
    offered = _sum(minute, "offered")
    return 1 - (_sum(minute, "late") + _sum(minute, "lost")) / offered if offered else 1.0
