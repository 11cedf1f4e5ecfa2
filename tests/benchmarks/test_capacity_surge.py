"""A surge against an endpoint, where what must come is known."""

import dataclasses
from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.capacity.instance import Model
from benchmarks.capacity.outcome import Outcome, outcome
from benchmarks.capacity.report import surge, without_loss
from benchmarks.capacity.surge import Load, Moment, Router, Scenario, _spread, simulate
from infra.settings import Serving

MODEL = Model(2, (0.018, 0.020, 0.022))  # carries 100 requests/s
SERVING = Serving(
    min_instances=1,
    max_instances=10,
    invocations_per_instance=3000,
    concurrent_requests_per_instance=10,
    scale_out_seconds=60,
    scale_in_seconds=120,
)
SCENARIO = Scenario(base_rate=30.0, factor=10.0, before=300.0, during=900.0, after=1800.0)
LOAD = Load.drawn(SCENARIO, MODEL, seed=0)


def run(serving: Serving = SERVING, start: float = 200.0, router: Router = "random") -> list[Moment]:
    return simulate(LOAD, SCENARIO, MODEL, serving, start_seconds=start, budget_seconds=0.5, router=router)


def test_a_surge_is_seen_after_30_seconds_answered_after_the_start_and_over_in_the_end() -> None:
    moments = run()
    assert moments == run()
    changes = [later.end for now, later in pairwise(moments) if later.active > now.active]
    assert changes[0] == 300 + 30 + 200, "three periods of ten seconds above the target, and the start"
    assert next(moment.end for moment in moments if moment.paid > 1) == 340
    before = [moment for moment in moments if moment.end <= 300]
    assert {(moment.active, moment.late, moment.lost) for moment in before} == {(1, 0, 0)}
    late_in_surge = [moment for moment in moments if 900 < moment.end <= 1200]
    assert not sum(moment.lost + moment.late for moment in late_in_surge)
    assert {moment.active for moment in late_in_surge} <= {6, 7}, "300/s at 50/s each, by either policy"
    assert moments[-1].active == 1
    assert sum(moment.offered for moment in moments) == len(LOAD.arrivals)


def test_what_one_instance_cannot_carry_is_lost_until_others_have_started() -> None:
    moments = [moment for moment in run() if 310 < moment.end <= 520]
    answered = sum(moment.offered - moment.lost for moment in moments) / 210
    assert answered == pytest.approx(MODEL.most, rel=0.02)
    assert max(moment.late for moment in moments) > 0, "64 photos at hand wait 0.64 s"


def test_quicker_starts_and_more_instances_lose_less() -> None:
    def lost(serving: Serving, start: float) -> int:
        return outcome(run(serving, start), SCENARIO, 0.1).lost

    ready = dataclasses.replace(SERVING, min_instances=4)
    assert lost(ready, 200.0) == 0, "four carry 400/s of 300"
    assert 0 < lost(SERVING, 60.0) < 0.5 * lost(SERVING, 200.0)


def test_the_policy_of_requests_per_minute_alone_takes_three_minutes() -> None:
    moments = run(dataclasses.replace(SERVING, concurrent_requests_per_instance=1000))
    assert next(moment.end for moment in moments if moment.paid > 1) == 300 + 180 + 10
    assert max(moment.active for moment in moments) in (6, 7)


def test_the_router_of_least_outstanding_requests_waits_less() -> None:
    serving = dataclasses.replace(SERVING, min_instances=4, max_instances=4)
    scenario = Scenario(base_rate=340.0, factor=1.0, before=60.0, during=60.0, after=60.0)
    load = Load.drawn(scenario, MODEL, seed=1)

    def late(router: Router) -> int:
        found = simulate(load, scenario, MODEL, serving, start_seconds=1, budget_seconds=0.1, router=router)
        return sum(moment.late + moment.lost for moment in found)

    assert late("least-outstanding") < 0.2 * late("random")


def test_requests_that_wait_longer_than_sagemaker_are_lost() -> None:
    slow = Model(1, (7.0,))
    scenario = Scenario(base_rate=2.0, factor=1.0, before=60.0, during=60.0, after=60.0)
    load = Load.drawn(scenario, slow, seed=0)
    moments = simulate(
        load, scenario, slow, dataclasses.replace(SERVING, max_instances=1), start_seconds=1, budget_seconds=1e3
    )
    in_time = len(load.arrivals) - sum(moment.late + moment.lost for moment in moments)
    assert in_time < 60 / 7 + 180 / 7
    assert sum(moment.late for moment in moments) == 0


def test_time_at_hand_falls_into_the_steps_it_spans() -> None:
    busy = [0.0] * 4
    _spread(busy, 8.0, 15.0)
    _spread(busy, 3.0, 1.0)
    assert busy == [3.0, 10.0, 3.0, 0.0]


def moments(*lost_by_minute: int) -> list[Moment]:
    """A minute before the surge, then a minute for each number; 100 requests in each step."""
    rows = [Moment(10.0 * step, 100, 0, 0, 1, 1) for step in range(1, 7)]
    for minute, lost in enumerate(lost_by_minute):
        rows += [Moment(60 + 60 * minute + 10.0 * step, 100, 1, lost, 3, 4) for step in range(1, 7)]
    return rows


def test_figures_of_a_surge() -> None:
    scenario = Scenario(10.0, 1.0, 60.0, 180.0, 0.0)
    found = outcome(moments(50, 3, 0), scenario, price_per_hour=0.3)
    assert found == Outcome(
        requests=2400,
        in_time=2400 - 18 - 318,
        late=18,
        lost=318,
        recovered=2,
        base_instances=1,
        most_instances=3,
        instance_hours=pytest.approx((6 * 1 + 18 * 4) * 10 / 3600),
        cost=pytest.approx(0.3 * 780 / 3600),
        per_million=pytest.approx(1e6 * 0.3 * 780 / 3600 / 2082),
        base_per_million=pytest.approx(1e6 * 0.3 * 60 / 3600 / 600),
    )


RECOVERED = [((0, 0, 0), 0), ((5, 0, 0), 1), ((5, 0, 5), None), ((0, 5, 0), 2)]


@pytest.mark.parametrize(("lost", "expected"), RECOVERED)
def test_it_is_over_when_it_stays_over(lost: tuple[int, ...], expected: int | None) -> None:
    assert outcome(moments(*lost), Scenario(10.0, 1.0, 60.0, 180.0, 0.0), 0.1).recovered == expected


def test_the_table_has_a_column_for_each_of_the_settings_and_says_what_was_not_reached() -> None:
    scenario = Scenario(10.0, 1.0, 60.0, 180.0, 0.0)
    rows = surge({name: outcome(moments(*lost), scenario, 0.3) for name, lost in {"a": (5, 0, 5), "b": ()}.items()})
    cells = {row[0]: row[1:] for row in rows}
    assert cells["lost"] == ["60 (2.50%)", "0 (0.00%)"]
    assert cells["minutes until in budget again"] == ["not while it lasted", "0"]
    assert Counter(map(len, rows)) == {3: len(rows)}


def test_instances_that_must_be_there_beforehand() -> None:
    line = without_loss(Scenario(16.0, 10.0, 1, 1, 1), 80.0, SERVING)
    assert "2 must be in service when it comes (min_instances is 1)" in line
    assert "3 must" in without_loss(Scenario(16.1, 10.0, 1, 1, 1), 80.0, SERVING)
