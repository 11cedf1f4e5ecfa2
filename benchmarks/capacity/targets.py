"""From what one instance carries to the settings that its endpoint is scaled by.

AWS's formula for the first target is (most requests per second x safety factor) x 60 (SageMaker developer guide, "Load
testing your auto scaling configuration", which suggests to begin with a factor of 0.5). Here the factor, `headroom`,
follows from two numbers that a person can judge: how long it takes until more instances serve, and how fast load grows.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from benchmarks.capacity.tracking import HIGH_PERIODS, INVOCATIONS_SECONDS
from benchmarks.errors import BenchError
from infra.reading import RefusedError
from infra.settings import Serving

KEYS = ("invocations_per_instance", "concurrent_requests_per_instance", "scale_out_seconds", "scale_in_seconds")
"""The settings that are derived."""
_MOST_COOLDOWN = 3600  # that settings take


@dataclass(frozen=True)
class Measured:
    """One instance: requests per second within the budget, their mean latency, and seconds from the start of the
    server's process to its first answer."""

    rate: float
    mean_ms: float
    first_answer: float


@dataclass(frozen=True)
class Assumed:
    """What cannot be measured here: seconds from the request for an instance until it serves, and by how much of itself
    load grows in a minute."""

    instance_start_seconds: float
    growth_per_minute: float


def reaction_seconds(assumed: Assumed) -> float:
    """From load above the target to more instances in service: the alarm's periods, and the start."""
    return HIGH_PERIODS * INVOCATIONS_SECONDS + assumed.instance_start_seconds


def headroom(assumed: Assumed) -> float:
    """The share of its capacity that an instance may be kept at.

    Load that stands at the target and grows steadily is then no more than capacity when the new instances serve:
    headroom x (1 + growth x reaction) = 1.
    """
    return 1 / (1 + assumed.growth_per_minute * reaction_seconds(assumed) / 60)


def concurrency(measured: Measured) -> float:
    """Requests at hand at the rate that is carried: rate x mean latency (Little's law)."""
    return measured.rate * measured.mean_ms / 1000


def derived(measured: Measured, assumed: Assumed, present: Serving) -> Serving:
    """`present` with the targets and cooldowns that follow; BenchError where settings would refuse one.

    Both targets are the instance's figure at its limit times the headroom. Requests at hand grow faster than the rate,
    so at usual load requests per minute decide, and requests at hand when requests are slow, or come at once.

    Cooldowns begin when a change is complete. After a scale-out one must pass until a whole period of the slower metric
    was seen with the new instances at work: that period and a server's first answer. After a scale-in, the next one
    waits as long as it takes to undo it, should it have been wrong.
    """
    share = headroom(assumed)
    try:
        return dataclasses.replace(
            present,
            invocations_per_instance=max(1, math.floor(60 * measured.rate * share)),
            concurrent_requests_per_instance=max(1, round(concurrency(measured) * share)),
            scale_out_seconds=_cooldown(INVOCATIONS_SECONDS + measured.first_answer),
            scale_in_seconds=_cooldown(reaction_seconds(assumed)),
        )
    except RefusedError as error:
        raise BenchError(f"what was measured gives settings that infra/settings.py refuses: {error}") from error


def lines(serving: Serving) -> str:
    """What to write into cdk.json, below `environments.ENV.serving`."""
    values: dict[str, Any] = dataclasses.asdict(serving)
    return ",\n".join(f'"{key}": {values[key]}' for key in KEYS)


def _cooldown(seconds: float) -> int:
    return min(_MOST_COOLDOWN, 10 * math.ceil(seconds / 10 - 1e-9))
