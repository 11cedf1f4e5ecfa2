"""The gate's verdicts, its inputs, and its guard rails."""

import json
import re
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tally.errors import TallyError
from tally.gate import GateSettings, Verdict, decide
from tally.gate.guards import check_guards
from tally.labels import COUNTS
from tally.metrics import confusion_matrix, confusion_metrics

Indices = npt.NDArray[np.int64]
OPEN = GateSettings(max_macro_f1_drop=1.0, max_recall_drop=1.0, max_rmse_increase=4.0)
NO_CHANCE = dict.fromkeys(COUNTS, 0.0)


def answers(both: int, b: int, c: int, neither: int) -> tuple[Indices, Indices, Indices]:
    """True, champion's and challenger's class indices with these cells, classes spread evenly over each cell."""
    champion_right = np.repeat([True, True, False, False], [both, b, c, neither])
    challenger_right = np.repeat([True, False, True, False], [both, b, c, neither])
    true = np.arange(len(champion_right)) % 5
    wrong = np.where(true == 4, 3, true + 1)
    return true, np.where(champion_right, true, wrong), np.where(challenger_right, true, wrong)


def judge(
    cells: tuple[int, int, int, int],
    settings: GateSettings = OPEN,
    groups: list[str] | None = None,
    latency_ms: tuple[float, float] = (10.0, 10.0),
) -> Verdict:
    true, champion, challenger = answers(*cells)
    names = groups or [str(i) for i in range(len(true))]
    return decide(true, champion, challenger, names, latency_ms=latency_ms, settings=settings)


def test_the_published_table_is_promoted_with_its_published_statistic() -> None:
    found = judge((250, 208, 367, 738))
    assert (found.both, found.b, found.c, found.neither, found.n) == (250, 208, 367, 738, 1563)
    assert found.statistic == pytest.approx(43.4, abs=0.05)
    assert found.p_value < 1e-4
    assert found.gain == pytest.approx(0.3948 - 0.2930, abs=1e-4)
    assert found.verdict == "promote"
    assert found.test == "exact"
    low, high = found.gain_interval
    assert 0.07 < low < found.gain < high < 0.14


def test_a_worse_challenger_is_rejected() -> None:
    found = judge((250, 367, 208, 738))
    assert found.verdict == "reject"
    assert found.reason == "The challenger is right on 159 fewer of 1563 photos than the champion."


def test_the_same_model_again_is_rejected_as_no_better() -> None:
    found = judge((60, 0, 0, 40))
    assert (found.verdict, found.p_value, found.mid_p, found.gain) == ("reject", 1.0, 1.0, 0.0)
    assert (
        found.reason == "No photo is counted differently right or wrong: the challenger is no better than the champion."
    )
    low, high = found.gain_interval
    assert low < 0 < high


def test_an_equal_challenger_is_rejected() -> None:
    assert judge((500, 100, 100, 300)).verdict == "reject"


def test_a_small_test_set_that_cannot_tell_is_underpowered() -> None:
    found = judge((10, 2, 5, 9))
    assert found.verdict == "underpowered"
    assert found.gain > 0
    assert found.power < 0.8
    assert found.smallest_detectable_gain > found.gain_that_matters
    assert "this test set shows only gains from" in found.reason


def test_an_insignificant_gain_on_a_large_test_set_is_rejected_not_underpowered() -> None:
    found = judge((30_000, 2_000, 2_060, 15_940))
    assert 0 < found.gain < 0.02
    assert found.p_value > 0.05
    assert found.power > 0.99
    assert found.verdict == "reject"
    assert "would have shown with power" in found.reason


@examples(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any), st.integers(1, 4))
def test_swapping_the_models_mirrors_the_evidence_and_never_promotes_both(
    cells: tuple[int, int, int, int], photos_a_group: int
) -> None:
    both, b, c, neither = cells
    true, one, other = answers(both, b, c, neither)
    groups = [str(i // photos_a_group) for i in range(len(true))]
    here = decide(true, one, other, groups, latency_ms=(1.0, 1.0), settings=OPEN)
    there = decide(true, other, one, groups, latency_ms=(1.0, 1.0), settings=OPEN)
    assert (here.b, here.c, here.gain) == (there.c, there.b, -there.gain)
    assert here.p_value == pytest.approx(there.p_value)
    assert here.gain_interval == pytest.approx((-there.gain_interval[1], -there.gain_interval[0]))
    assert {here.verdict, there.verdict} != {"promote"}
    assert here.gain_interval[0] <= here.gain <= here.gain_interval[1]


def test_alpha_decides_and_is_strict() -> None:
    cells = (100, 5, 18, 77)
    p_value = judge(cells).p_value
    assert judge(cells, replace(OPEN, alpha=p_value)).verdict != "promote"
    assert judge(cells, replace(OPEN, alpha=p_value * 1.001)).verdict == "promote"


def test_groups_with_several_photos_switch_to_the_clustered_test_by_themselves() -> None:
    cells = (250, 208, 367, 738)
    assert judge(cells, groups=[str(i // 2) for i in range(1563)]).test == "clustered"
    one_pair = ["0", "0", *(str(i) for i in range(2, 1563))]
    assert judge(cells, groups=one_pair).test == "clustered"


def test_a_gain_from_a_single_group_does_not_promote() -> None:
    # 12 photos won, none lost: as single photos p = 0.0005, but all lie in one bin.
    groups = [str(i) for i in range(100)] + ["bin"] * 12
    cells = (100, 0, 12, 0)
    assert judge(cells).verdict == "promote"
    assert judge(cells, groups=groups).verdict == "underpowered"


def test_every_photo_weighs_the_same_whatever_its_group() -> None:
    # Seven groups win 30 photos each; 25 single ones are lost: a loss in the mean of the groups, a gain over photos.
    groups = [f"single{i}" for i in range(25)] + [f"large{i // 30}" for i in range(210)]
    found = judge((0, 25, 210, 0), groups=groups)
    assert found.gain == pytest.approx((210 - 25) / 235)
    assert found.group_gain == pytest.approx((7 - 25) / 32)
    assert found.p_value < 0.05
    assert found.verdict == "promote"
    # The same photos lost: the mean of the groups does not save a challenger that is worse over photos.
    assert judge((0, 210, 25, 0), groups=[*groups[25:], *groups[:25]]).verdict == "reject"


def test_a_gain_that_one_large_group_makes_alone_is_not_promoted() -> None:
    groups = [str(i) for i in range(25)] + ["large"] * 60
    found = judge((0, 25, 60, 0), groups=groups)
    assert found.gain > 0.4
    assert found.verdict == "underpowered"


@pytest.mark.parametrize(
    ("settings", "latency_ms", "broken"),
    [
        (replace(OPEN, latency_budget_ms=100), (10.0, 100.1), "latency_ms"),
        (OPEN, (10.0, float("nan")), "latency_ms"),
        (replace(OPEN, max_rmse_increase=0.0), (10.0, 10.0), "rmse"),
        (replace(OPEN, max_recall_drop=0.1), (10.0, 10.0), "recall_5"),
        (replace(OPEN, max_macro_f1_drop=0.0), (10.0, 10.0), "macro_f1"),
    ],
    ids=["slow", "latency unknown", "rmse", "recall", "macro-F1"],
)
def test_a_broken_guard_rejects_a_more_accurate_challenger(
    settings: GateSettings, latency_ms: tuple[float, float], broken: str
) -> None:
    # The challenger wins all of count 1 and gives up count 5 for count 1.
    true = np.repeat([0, 4], [200, 20])
    champion = np.concatenate([np.repeat([0, 1], [100, 100]), np.full(20, 4)])
    challenger = np.zeros_like(true)
    names = [str(i) for i in range(len(true))]
    unguarded = decide(true, champion, challenger, names, latency_ms=(1.0, 1.0), settings=OPEN)
    assert unguarded.verdict == "promote"
    found = decide(true, champion, challenger, names, latency_ms=latency_ms, settings=settings)
    assert found.verdict == "reject"
    assert [guard.name for guard in found.guards if not guard.holds] == [broken]
    assert found.reason.startswith(f"Guard rail broken: {broken}")


@pytest.mark.parametrize(("lost", "verdict"), [(5, "promote"), (6, "reject")])
def test_a_fall_of_recall_that_chance_explains_breaks_no_guard(lost: int, verdict: str) -> None:
    # Exact binomial: five lost and none won is p = 0.0625, six p = 0.03125; both are falls of far more than ten points.
    true = np.repeat([0, 4], [200, 26])
    champion = np.concatenate([np.repeat([0, 1], [100, 100]), np.full(26, 4)])
    challenger = np.concatenate([np.zeros(200, np.int64), np.repeat([4, 0], [26 - lost, lost])])
    names = [str(i) for i in range(len(true))]
    found = decide(
        true, champion, challenger, names, latency_ms=(1.0, 1.0), settings=replace(OPEN, max_recall_drop=0.1)
    )
    [guard] = [guard for guard in found.guards if guard.name == "recall_5"]
    assert guard.challenger < guard.limit
    assert guard.p_value == pytest.approx(2 * 0.5**lost)
    assert (found.verdict, guard.holds) == (verdict, lost == 5)


def test_a_value_exactly_on_its_limit_holds() -> None:
    matrix = np.diag([10, 10, 10, 10, 10])
    worse = matrix.copy()
    worse[0] = [9, 1, 0, 0, 0]  # recall 1.0 - 0.1 in decimal, a hair less in binary
    settings = GateSettings(max_recall_drop=0.1, max_macro_f1_drop=1, max_rmse_increase=4, latency_budget_ms=5)
    guards = check_guards(confusion_metrics(matrix), confusion_metrics(worse), NO_CHANCE, (1.0, 5.0), settings)
    assert all(guard.holds for guard in guards)


def test_a_champion_that_cannot_be_measured_breaks_its_guard() -> None:
    good = confusion_metrics(np.diag([10, 10, 10, 10, 10]))
    unknown = replace(good, macro_f1=float("nan"), rmse=float("nan"))
    unknown = replace(unknown, per_class=(replace(good.per_class[0], recall=float("nan")), *good.per_class[1:]))
    guards = check_guards(unknown, good, dict.fromkeys(COUNTS, 1.0), (1.0, 1.0), OPEN)
    assert [guard.name for guard in guards if not guard.holds] == ["macro_f1", "recall_1", "rmse"]


def test_recall_of_a_count_without_photos_is_not_guarded() -> None:
    metrics = confusion_metrics(confusion_matrix([0, 1, 1], [0, 1, 1]))
    names = [guard.name for guard in check_guards(metrics, metrics, {1: 1.0, 2: 1.0}, (1.0, 1.0), GateSettings())]
    assert names == ["macro_f1", "recall_1", "recall_2", "rmse", "latency_ms"]


@pytest.mark.parametrize(
    ("true", "champion", "challenger", "groups"),
    [
        ([0, 1], [0, 1], [0], ["a", "b"]),
        ([0, 1], [0], [0, 1], ["a", "b"]),
        ([0, 1], [0, 1], [0, 1], ["a"]),
        ([], [], [], []),
    ],
    ids=["challenger short", "champion short", "groups short", "empty"],
)
def test_unequal_or_empty_inputs_are_errors_never_a_pass(
    true: list[int], champion: list[int], challenger: list[int], groups: list[str]
) -> None:
    with pytest.raises(TallyError, match="score both models on the same photos, at least one"):
        decide(true, champion, challenger, groups, latency_ms=(1.0, 1.0), settings=OPEN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.0),
        ("alpha", 1.0),
        ("alpha", float("nan")),
        ("max_macro_f1_drop", -0.1),
        ("max_recall_drop", 1.5),
        ("max_rmse_increase", 5.0),
        ("latency_budget_ms", 0.0),
        ("latency_budget_ms", float("inf")),
        ("gain_that_matters", 0.0),
        ("wanted_power", 1.0),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(TallyError, match=f"gate setting {name.replace('_', '-')} is {value}"):
        GateSettings(**{name: value})


@pytest.mark.parametrize(
    "cells",
    [(250, 208, 367, 738), (250, 367, 208, 738), (60, 0, 0, 40), (10, 2, 5, 9), (30_000, 2_000, 2_060, 15_940)],
)
@pytest.mark.parametrize("settings", [OPEN, GateSettings(max_recall_drop=0, max_rmse_increase=0, latency_budget_ms=1)])
def test_the_summary_fits_a_model_packages_metadata(cells: tuple[int, int, int, int], settings: GateSettings) -> None:
    # Pattern and length of CustomerMetadataProperties in SageMaker's API: letters, separators, numbers and _.:/=+-@
    found = judge(cells, settings)
    for key, value in found.summary(test_sha256="0" * 64).items():
        assert re.fullmatch(r"[\w .:/=+\-@]{1,128}", key)
        assert re.fullmatch(r"[\w .:/=+\-@]{1,256}", value), value
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["verdict"] == found.verdict
