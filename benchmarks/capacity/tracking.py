"""Target tracking as Application Auto Scaling does it, for the two policies of `infra.constructs.autoscaling`.

What AWS documents (Application Auto Scaling user guide, "How target tracking scaling works"; API reference,
TargetTrackingScalingPolicyConfiguration): capacity follows in proportion to metric over target, rounded up; of several
policies the largest capacity wins, and instances go only when all policies agree; a scale-out stops the cooldown of a
scale-in; cooldowns begin when a change is complete; while a scale-out cools down what it added counts, so only a larger
one follows. SageMaker changes an endpoint once at a time: it is Updating until all new instances are in service.

What is seen in the alarms that AWS makes but not promised: three periods in a row above the target scale out, fifteen
minutes below 90% of it scale in. Here alarms see a period as soon as it is over, which is the best case.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from infra.settings import Serving

HIGH_PERIODS = 3
_LOW_SECONDS = 900
_LOW_SHARE = 0.9
INVOCATIONS_SECONDS, CONCURRENCY_SECONDS = 60, 10  # periods of the two metrics


def wanted(instances: int, metric: float, target: float) -> int:
    """How many instances bring a metric per instance to its target."""
    return math.ceil(instances * metric / target - 1e-9)


class Policy:
    """One metric per instance that is kept at `target`, with the state of its two alarms. Periods are in seconds."""

    def __init__(self, target: float, period: int) -> None:
        self.target = target
        self._low_periods = _LOW_SECONDS // period
        self._points: deque[float] = deque(maxlen=self._low_periods)
        self.seen_at = -math.inf

    def see(self, now: float, metric: float) -> None:
        """The metric of the period that has just ended."""
        self._points.append(metric)
        self.seen_at = now

    @property
    def latest(self) -> float:
        """The newest metric."""
        return self._points[-1]

    @property
    def high(self) -> bool:
        """More instances are needed."""
        newest = list(self._points)[-HIGH_PERIODS:]
        return len(newest) == HIGH_PERIODS and min(newest) > self.target

    @property
    def low(self) -> bool:
        """Fewer instances would do."""
        return len(self._points) == self._low_periods and max(self._points) < _LOW_SHARE * self.target


@dataclass
class Fleet:
    """Instances in service, and those that are being started. Times are seconds."""

    serving: Serving
    start_seconds: float
    active: int
    starting: int = 0
    ready_at: float = math.inf
    _before: int = 0  # the last scale-out
    _out_until: float = -math.inf
    _in_until: float = -math.inf

    @property
    def paid(self) -> int:
        """Instances that cost: from their request on."""
        return self.active + self.starting

    def decide(self, now: float, policies: Sequence[Policy]) -> None:
        """Begin to start instances, or take some away, where the alarms and cooldowns say so.

        An alarm acts when a period of its metric ends: between, the newest one may be of times that are gone.
        """
        if self.starting:
            return
        high = [policy for policy in policies if policy.high and policy.seen_at == now]
        if high:
            base = self._before if now < self._out_until else self.active
            most = max(wanted(base, policy.latest, policy.target) for policy in high)
            new = min(self.serving.max_instances, most) - self.active
            if new > 0:
                self._before, self.starting, self.ready_at = self.active, new, now + self.start_seconds
                self._in_until = -math.inf
        elif now >= self._in_until and all(policy.low for policy in policies):
            most = max(wanted(self.active, policy.latest, policy.target) for policy in policies)
            kept = max(self.serving.min_instances, most)
            if kept < self.active:
                self.active, self._in_until = kept, now + self.serving.scale_in_seconds

    def start(self) -> None:
        """What was being started is in service: the scale-out is complete."""
        self.active += self.starting
        self._out_until = self.ready_at + self.serving.scale_out_seconds
        self.starting, self.ready_at = 0, math.inf
