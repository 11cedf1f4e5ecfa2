"""Target tracking by hand, and the settings that follow from a measurement."""

import dataclasses
import json
import math

import pytest

from benchmarks.capacity.targets import Assumed, Measured, concurrency, derived, headroom, lines, reaction_seconds
from benchmarks.capacity.tracking import Fleet, Policy, wanted
from benchmarks.errors import BenchError
from infra.settings import Serving

SERVING = Serving(min_instances=2, max_instances=10, scale_out_seconds=60, scale_in_seconds=300)


def policy(*points: float, now: float = 0.0, target: float = 100.0, period: int = 60) -> Policy:
    """With the last of its points seen at `now`."""
    made = Policy(target, period)
    for number, point in enumerate(points, 1):
        made.see(now - period * (len(points) - number), point)
    return made


def fleet(active: int, start_seconds: float = 300.0) -> Fleet:
    return Fleet(SERVING, start_seconds, active)


@pytest.mark.parametrize(
    ("instances", "metric", "expected"), [(2, 100, 2), (2, 101, 3), (2, 1000, 20), (4, 40, 2), (4, 50, 2), (3, 0, 0)]
)
def test_capacity_follows_the_metric_in_proportion_rounded_up(instances: int, metric: float, expected: int) -> None:
    assert wanted(instances, metric, 100) == expected


def test_three_periods_above_the_target_are_high_and_fifteen_minutes_below_90_percent_are_low() -> None:
    assert not policy(500, 500).high
    assert policy(1, 101, 101, 101).high
    assert not policy(101, 100, 101).high
    assert not policy(*[89] * 14).low
    assert policy(100, *[89] * 15).low
    assert not policy(*[89] * 14, 90).low
    assert not policy(*[89] * 89, period=10).low
    assert policy(*[89] * 90, period=10).low


def test_instances_start_after_a_while_and_nothing_else_happens_meanwhile() -> None:
    high = policy(250, 250, 250, now=180.0)
    it = fleet(2)
    it.decide(180.0, [high])
    assert (it.active, it.starting, it.paid, it.ready_at) == (2, 3, 5, 480.0)
    high.see(240.0, 900)
    it.decide(240.0, [high])
    assert (it.starting, it.ready_at) == (3, 480.0)
    it.start()
    assert (it.active, it.starting, it.paid, it.ready_at) == (5, 0, 5, math.inf)


def test_the_policy_that_wants_most_instances_wins_up_to_the_largest_number() -> None:
    it = fleet(2)
    it.decide(0.0, [policy(150, 150, 150), policy(*[350] * 90, period=10), policy(*[1] * 15)])
    assert it.starting == 5
    it = fleet(2)
    it.decide(0.0, [policy(900, 900, 900)])
    assert it.paid == 10
    it = fleet(10)
    it.decide(0.0, [policy(900, 900, 900)])
    assert it.starting == 0


def test_while_a_scale_out_cools_down_what_it_added_counts() -> None:
    it = fleet(2)
    it.decide(0.0, [policy(200, 200, 200)])
    it.start()
    assert it.active == 4
    stale = policy(190, 190, 190, now=359.0)  # a period that is half from before
    it.decide(359.0, [stale])
    assert it.starting == 0, "2 x 190 / 100 are the 4 that there are"
    larger = policy(290, 290, 290, now=359.0)
    it.decide(359.0, [larger])
    assert it.starting == 2, "of 2 x 290 / 100 = 6"
    it = fleet(2)
    it.decide(0.0, [policy(200, 200, 200)])
    it.start()
    it.decide(360.0, [stale])
    assert it.starting == 0, "its alarm has not looked since"
    it.decide(360.0, [policy(190, 190, 190, now=360.0)])
    assert it.starting == 4, "the cooldown of 60 s is over, and 4 x 190 / 100 = 8"


def test_instances_go_when_all_policies_agree_one_cooldown_after_the_other() -> None:
    low, lower = policy(*[60] * 15), policy(*[20] * 15)
    it = fleet(8)
    it.decide(0.0, [lower, policy(*[95] * 15)])
    assert it.active == 8
    it.decide(0.0, [low, lower])
    assert it.active == 5, "8 x 60 / 100, rounded up"
    it.decide(290.0, [low, lower])
    assert it.active == 5
    it.decide(300.0, [low, lower])
    assert it.active == 3
    it.decide(600.0, [lower])
    assert it.active == 2, "min_instances"


def test_a_scale_out_does_not_wait_for_the_cooldown_of_a_scale_in_and_ends_it() -> None:
    it = fleet(8, start_seconds=0.0)
    it.decide(0.0, [policy(*[50] * 15)])
    it.decide(10.0, [policy(200, 200, 200, now=10.0)])
    assert (it.active, it.starting) == (4, 4)
    it.start()
    it.decide(20.0, [policy(*[50] * 15)])
    assert it.active == 4


def test_settings_follow_from_the_measurement() -> None:
    assumed = Assumed(instance_start_seconds=300.0, growth_per_minute=0.1)
    assert reaction_seconds(assumed) == 480.0
    assert headroom(assumed) == pytest.approx(1 / 1.8)
    measured = Measured(rate=160.0, mean_ms=50.0, first_answer=0.5)
    assert concurrency(measured) == pytest.approx(8.0)
    found = derived(measured, assumed, SERVING)
    assert found == dataclasses.replace(
        SERVING,
        invocations_per_instance=5333,  # 160 x 60 / 1.8
        concurrent_requests_per_instance=4,  # 8 / 1.8
        scale_out_seconds=70,  # a minute and the first answer
        scale_in_seconds=480,  # as long as a scale-out takes
    )
    assert json.loads(f"{{{lines(found)}}}") == {
        "invocations_per_instance": 5333,
        "concurrent_requests_per_instance": 4,
        "scale_out_seconds": 70,
        "scale_in_seconds": 480,
    }


@pytest.mark.parametrize(("growth", "start"), [(0.0, 300.0), (0.1, 0.0), (0.5, 600.0)])
def test_load_that_grows_from_the_target_is_carried_until_more_instances_serve(growth: float, start: float) -> None:
    assumed = Assumed(start, growth)
    load = 160.0 * headroom(assumed)
    assert load * (1 + growth * reaction_seconds(assumed) / 60) == pytest.approx(160.0)


def test_settings_stay_in_what_an_endpoint_takes() -> None:
    slow = derived(Measured(0.001, 30.0, 4000.0), Assumed(10_000.0, 0.1), SERVING)
    assert (slow.invocations_per_instance, slow.concurrent_requests_per_instance) == (1, 1)
    assert (slow.scale_out_seconds, slow.scale_in_seconds) == (3600, 3600)
    with pytest.raises(BenchError, match=r"settings.py refuses: .*invocations_per_instance is \d+; it must be 1 to"):
        derived(Measured(1e6, 1.0, 0.5), Assumed(300.0, 0.1), SERVING)
