"""A surge against an endpoint that scales: every request, every instance, every alarm, in the order of time.

Not in it: callers who try again (the API's function does, up to three times, which helps in a short overload and makes
a long one worse), instances that fail, and the time that AWS takes to send metrics to alarms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.capacity.arrivals import Phase, poisson
from benchmarks.capacity.instance import Instance, Model
from benchmarks.capacity.offer import ANSWER_SECONDS
from benchmarks.capacity.tracking import CONCURRENCY_SECONDS, INVOCATIONS_SECONDS, Fleet, Policy, wanted
from infra.settings import Serving

Router = Literal["random", "least-outstanding"]
"""How SageMaker chooses an instance: `random` unless the endpoint's configuration says otherwise, as ours does in
`infra/serving.py` (API reference, ProductionVariantRoutingConfig)."""


@dataclass(frozen=True)
class Scenario:
    """Requests at `base_rate` per second, `factor` times as many for a while, and `base_rate` again. In seconds."""

    base_rate: float
    factor: float
    before: float
    during: float
    after: float

    @property
    def phases(self) -> list[Phase]:
        """As `poisson` takes them."""
        base = self.base_rate
        return [(base, self.before), (self.factor * base, self.during), (base, self.after)]

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.before + self.during + self.after


@dataclass(frozen=True)
class Load:
    """The same requests for every side of a comparison: arrivals, a worker's seconds, and a router's random number."""

    arrivals: list[float]
    services: list[float]
    picks: list[float]

    @classmethod
    def drawn(cls, scenario: Scenario, model: Model, seed: int) -> "Load":
        """What a seed gives."""
        chance = np.random.default_rng(seed)
        arrivals = poisson(scenario.phases, chance)
        services = chance.choice(np.array(model.services), size=len(arrivals))
        return cls(arrivals.tolist(), services.tolist(), chance.random(len(arrivals)).tolist())


@dataclass(frozen=True)
class Moment:
    """Ten seconds that end at `end`. Requests count when they come: `late` are answered, but beyond the budget; `lost`
    are sent away, or answered when SageMaker waits no longer."""

    end: float
    offered: int
    late: int
    lost: int
    active: int
    paid: int


def simulate(
    load: Load,
    scenario: Scenario,
    model: Model,
    serving: Serving,
    *,
    start_seconds: float,
    budget_seconds: float,
    router: Router = "least-outstanding",
) -> list[Moment]:
    """What happens, in steps of ten seconds; begins with the instances that the base rate needs."""
    first = wanted(1, 60 * scenario.base_rate, serving.invocations_per_instance)
    fleet = Fleet(serving, start_seconds, min(max(first, serving.min_instances), serving.max_instances))
    invocations = Policy(serving.invocations_per_instance, INVOCATIONS_SECONDS)
    concurrency = Policy(serving.concurrent_requests_per_instance, CONCURRENCY_SECONDS)
    instances = [Instance(model) for _ in range(fleet.active)]
    steps = math.ceil(scenario.seconds / CONCURRENCY_SECONDS)
    busy = [0.0] * (steps + math.ceil(ANSWER_SECONDS / CONCURRENCY_SECONDS) + 1)  # request seconds of each step
    arrivals, place, per_instance = load.arrivals, 0, 0.0
    found = []
    for step in range(steps):
        end, begin, paid = (step + 1) * CONCURRENCY_SECONDS, place, fleet.paid
        late = lost = 0
        while place < len(arrivals) and arrivals[place] < end:
            now = arrivals[place]
            if fleet.ready_at <= now:
                _start(fleet, instances, model)
            per_instance += 1 / fleet.active
            instance = _routed(instances, load.picks[place], now, router)
            latency = instance.ask(now, load.services[place])
            place += 1
            if latency is None or latency > ANSWER_SECONDS:
                lost += 1
            elif latency > budget_seconds:
                late += 1
            if latency is not None:
                _spread(busy, now, min(latency, ANSWER_SECONDS))
        if fleet.ready_at <= end:
            _start(fleet, instances, model)
        found.append(Moment(end, place - begin, late, lost, fleet.active, paid))
        concurrency.see(end, busy[step] / CONCURRENCY_SECONDS / fleet.active)
        if end % INVOCATIONS_SECONDS == 0:
            if per_instance:  # without a request the metric has no value
                invocations.see(end, per_instance)
            per_instance = 0.0
        fleet.decide(end, (invocations, concurrency))
        del instances[fleet.active :]
    return found


def _start(fleet: Fleet, instances: list[Instance], model: Model) -> None:
    instances.extend(Instance(model) for _ in range(fleet.starting))
    fleet.start()


def _routed(instances: Sequence[Instance], pick: float, now: float, router: Router) -> Instance:
    first = int(pick * len(instances))
    if router == "random":
        return instances[first]
    turned = (*instances[first:], *instances[:first])  # else the first would have all that come to idle ones
    return min(turned, key=lambda instance: instance.at_hand(now))


def _spread(busy: list[float], now: float, seconds: float) -> None:
    """Add the time that a request is at hand to the steps it falls into."""
    done = now + seconds
    step = int(now // CONCURRENCY_SECONDS)
    while now < done:
        upto = min(done, (step + 1) * CONCURRENCY_SECONDS)
        busy[step] += upto - now
        now, step = upto, step + 1
