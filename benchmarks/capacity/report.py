"""Tables and sentences of a run."""

import math
from collections.abc import Mapping, Sequence

from benchmarks.capacity.instance import Model, alone
from benchmarks.capacity.measure import Carried
from benchmarks.capacity.others import QUIET
from benchmarks.capacity.outcome import Outcome
from benchmarks.capacity.surge import Scenario
from benchmarks.capacity.targets import KEYS, Assumed, concurrency, headroom, reaction_seconds
from benchmarks.capacity.windows import IN_BUDGET, percentile
from benchmarks.in_turns import markdown
from infra.settings import Serving

_SIMULATED_SECONDS = 120.0


def simulated_p99(model: Model, rate: float, seed: int) -> float | None:
    """What the simulation of one instance says of a rate, in ms: how far it is to be believed. None: all sent away."""
    latencies, _ = alone(model, rate, _SIMULATED_SECONDS, seed)
    return 1000 * percentile(latencies, IN_BUDGET) if latencies else None


def rates(carried: Carried, budget_ms: float, simulated: Sequence[float | None]) -> str:
    """A row a window, by rate."""
    rows = []
    for window, expected in sorted(zip(carried.windows, simulated, strict=True), key=lambda pair: pair[0].rate):
        rows.append(
            [
                f"{window.rate:.1f}",
                f"{window.seconds:g}",
                str(len(window.latencies) + window.failed),
                f"{window.p50:.0f}" if window.latencies else "",
                f"{window.p99:.0f}" if window.latencies else "",
                "" if expected is None else f"{expected:.0f}",
                f"{window.other_cpus:.2f}",
                window.objection(budget_ms) or ("carried, confirmed" if window is carried.held else "carried"),
            ]
        )
    return markdown(["requests/s", "s", "requests", "p50 ms", "p99 ms", "p99 ms, simulated", "others' CPUs", ""], rows)


def capacity(carried: Carried, budget_ms: float) -> list[str]:
    """What one instance carries, in words."""
    held, (low, high) = carried.held, (min(carried.starts), max(carried.starts))
    return [
        f"one instance carries {held.rate:.0f} requests/s: p99 {held.p99:.0f} ms of {budget_ms:g} ms, mean "
        f"{held.mean:.0f} ms, none failed in {held.seconds:g} s. The client took {held.client_cpus:.2f} of the "
        f"{carried.cpus} CPUs, so alone the server carries at least as much",
        f"first answer {carried.measured.first_answer:.2f} s after the process starts ({low:.2f} to {high:.2f}); a "
        f"request alone {percentile(carried.alone_ms, 0.5):.1f} ms; busy clients get {carried.busy_rate:.0f} answers/s",
        f"at this rate {concurrency(carried.measured):.1f} requests are at hand (Little's law)",
        *_disturbed(carried),
    ]


def _disturbed(carried: Carried) -> list[str]:
    """Whether figures are those of the server alone."""
    others = max(window.other_cpus for window in carried.windows)
    if others <= QUIET:
        return [f"other processes took at most {others:.2f} CPUs in a window"]
    return [f"NOT QUIET: other processes took up to {others:.2f} of the {carried.cpus} CPUs: measure again"]


def reasons(assumed: Assumed) -> list[str]:
    """What settings rest on beside the measurement."""
    return [
        f"ASSUMED, not measured: an instance serves {assumed.instance_start_seconds:g} s after it is asked for "
        f"(--instance-start-seconds); load grows by {assumed.growth_per_minute:.0%} a minute (--growth-percent)",
        f"so more instances serve {reaction_seconds(assumed):g} s after load passes the target, and an instance is "
        f"kept at {headroom(assumed):.0%} of what it carries",
    ]


def settings(sides: Mapping[str, Serving]) -> str:
    """The settings that are compared."""
    keys = (*KEYS, "min_instances", "max_instances")
    rows = [[key, *(str(getattr(serving, key)) for serving in sides.values())] for key in keys]
    return markdown(["setting", *sides], rows)


def surge(outcomes: Mapping[str, Outcome]) -> list[list[str]]:
    """Rows, with a column for each of the settings."""
    found = list(outcomes.values())
    return [
        ["requests", *(f"{one.requests:,}" for one in found)],
        ["in time", *(_part(one.in_time, one) for one in found)],
        ["late", *(_part(one.late, one) for one in found)],
        ["lost", *(_part(one.lost, one) for one in found)],
        ["minutes until in budget again", *(_minutes(one.recovered) for one in found)],
        ["instances before, at most", *(f"{one.base_instances}, {one.most_instances}" for one in found)],
        ["instance hours", *(f"{one.instance_hours:.2f}" for one in found)],
        ["cost", *(f"{one.cost:.2f}" for one in found)],
        ["cost per million answered", *(f"{one.per_million:.2f}" for one in found)],
        ["the same before the surge", *(f"{one.base_per_million:.2f}" for one in found)],
    ]


def scenario(it: Scenario, router: str, price: float) -> list[str]:
    """What the surge is, and what its figures rest on."""
    return [
        f"SIMULATED: {it.base_rate:.1f} requests/s for {it.before / 60:g} min, {it.factor:g} times as many for "
        f"{it.during / 60:g} min, {it.base_rate:.1f} again for {it.after / 60:g} min; router {router}; callers do not "
        "try again; alarms see metrics at once",
        f"EXAMPLE price, not looked up: {price:g} an instance hour (--price-per-hour)",
    ]


def without_loss(it: Scenario, rate: float, serving: Serving) -> str:
    """How many instances must be there beforehand, because none can be there in time."""
    number = math.ceil(it.factor * it.base_rate / rate - 1e-9)
    return (
        f"no policy starts an instance before the surge is seen: to lose nothing of it, {number} must be in service "
        f"when it comes (min_instances is {serving.min_instances})"
    )


def _part(number: int, of: Outcome) -> str:
    return f"{number:,} ({number / of.requests:.2%})" if of.requests else "0"


def _minutes(recovered: int | None) -> str:
    return "not while it lasted" if recovered is None else str(recovered)
