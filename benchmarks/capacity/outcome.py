"""What a surge came to."""

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
    while it lasted; None when they did not before it ended. `per_million` is the cost of a million answered requests.
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


def outcome(moments: Sequence[Moment], scenario: Scenario, price_per_hour: float) -> Outcome:
    """Add up; instances cost from the moment they are asked for."""
    requests, late, lost = (sum(getattr(moment, name) for moment in moments) for name in ("offered", "late", "lost"))
    hours = sum(moment.paid for moment in moments) * CONCURRENCY_SECONDS / 3600
    first = int(scenario.before // CONCURRENCY_SECONDS)
    cost = hours * price_per_hour
    answered = requests - lost
    return Outcome(
        requests=requests,
        in_time=answered - late,
        late=late,
        lost=lost,
        recovered=_recovered(moments[first : first + int(scenario.during // CONCURRENCY_SECONDS)]),
        base_instances=moments[max(0, first - 1)].active,
        most_instances=max(moment.active for moment in moments),
        instance_hours=hours,
        cost=cost,
        per_million=1e6 * cost / answered if answered else float("inf"),
    )


def _recovered(surge: Sequence[Moment]) -> int | None:
    minutes = [surge[begin : begin + _STEPS] for begin in range(0, len(surge), _STEPS)]
    bad = [number for number, minute in enumerate(minutes, 1) if _share(minute) < IN_BUDGET]
    if bad and bad[-1] == len(minutes):
        return None
    return bad[-1] if bad else 0


def _share(minute: Sequence[Moment]) -> float:
    """Of its requests, in time."""
    offered = sum(moment.offered for moment in minute)
    return 1 - sum(moment.late + moment.lost for moment in minute) / offered if offered else 1.0
