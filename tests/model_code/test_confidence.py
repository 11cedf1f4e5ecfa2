"""What probabilities are worth: intervals of shares, calibration curve, automation, orders."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from statsmodels.stats.proportion import proportion_confint

from tally.data.observations import observations, running_observations
from tally.evaluation.assessment import assess
from tally.evaluation.automation import automate
from tally.evaluation.bootstrap import GroupBootstrap
from tally.evaluation.confidence_charts import automation_chart, threshold_chart
from tally.evaluation.orders import FAIL_PROBABILITY, PASS_PROBABILITY, order_check
from tally.evaluation.proportions import bounds
from tally.evaluation.reliability import reliability
from tally.evaluation.scoring import Scored, Truth
from tally.metrics import expected_calibration_error

ROOT = Path(__file__).resolve().parents[2]


def truth_of(true: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Truth:
    answers = np.asarray(true, dtype=np.int64)
    numbers = np.arange(len(answers)) if groups is None else np.asarray(groups, dtype=np.int64)
    return Truth(answers, tuple(str(number) for number in numbers), numbers)


def sure_of(classes: npt.ArrayLike, confidences: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Probabilities with `confidences` on `classes` and the rest spread evenly."""
    where, confidence = np.asarray(classes), np.asarray(confidences, dtype=np.float64)
    table = np.repeat(((1 - confidence) / 4)[:, None], 5, axis=1)
    table[np.arange(len(where)), where] = confidence
    return table.astype(np.float32)


@pytest.mark.parametrize("groups", [1, 7, 59, 400])
@pytest.mark.parametrize("right", [0.0, 0.5, 1.0])
def test_bounds_of_a_share_are_statsmodels_clopper_pearson(groups: int, right: float) -> None:
    hits = right * groups
    expected = proportion_confint(hits, groups, alpha=0.1, method="beta")
    assert np.array(bounds(right, groups, 0.9)) == pytest.approx(np.array(expected), abs=1e-9)


def test_a_share_without_photos_can_be_anything() -> None:
    assert [float(side) for side in bounds(0.0, 0)] == [0.0, 1.0]


def test_photos_of_unequal_groups_are_worth_fewer_than_there_are_groups() -> None:
    assert observations(np.repeat(np.arange(7), 5)) == 7
    assert observations(np.array([2, 0, 2, 2])) == 4**2 / (3**2 + 1**2)
    assert observations(np.zeros(0, dtype=np.int64)) == 0
    groups = np.random.default_rng(0).geometric(0.3, 60)
    found = running_observations(groups)
    assert found == pytest.approx([observations(groups[:photos]) for photos in range(1, 61)])
    sizes = np.bincount(groups)
    assert found[-1] == pytest.approx(60**2 / (sizes**2).sum())
    assert found[-1] < (sizes > 0).sum()


def test_every_interval_knows_that_one_group_has_half_of_the_photos() -> None:
    # All right: 50 photos of one group and 50 of their own are worth 100^2 / (50^2 + 50) independent ones, not 51.
    right, groups = np.zeros(100, dtype=np.int64), np.concatenate([np.zeros(50), np.arange(1, 51)])
    probabilities, truth = sure_of(right, np.full(100, 0.95)), truth_of(right, groups)
    worth = 100**2 / (50**2 + 50)
    assert reliability(probabilities, truth)[0].interval == pytest.approx((0.025 ** (1 / worth), 1))
    assert automate(probabilities, truth).lower_bounds == pytest.approx([0.05 ** (1 / worth)])
    assert order_check(probabilities, truth)["as ordered"].intervals["pass"] == pytest.approx((0.025 ** (1 / worth), 1))


def test_bounds_hold_where_photos_of_unequal_groups_are_all_right_or_all_wrong() -> None:
    generator = np.random.default_rng(1)
    sizes = np.array([1] * 40 + [10] * 6)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    shares = [sizes[generator.random(len(sizes)) < 0.8].sum() / sizes.sum() for _ in range(2000)]
    low, high = bounds(shares, observations(groups))
    assert np.mean((low <= 0.8) & (high >= 0.8)) >= 0.94


def test_the_calibration_curve_counts_what_ece_adds_up() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(5, 0.5), 400).astype(np.float32)
    truth = truth_of(generator.integers(0, 5, 400), np.repeat(np.arange(200), 2))
    rows = reliability(probabilities, truth)
    assert sum(row.photos for row in rows) == 400
    gap = sum(row.photos * abs(row.accuracy - row.confidence) for row in rows) / 400
    assert gap == pytest.approx(expected_calibration_error(probabilities, truth.true), abs=1e-6)
    for row in rows:
        assert row.low < row.confidence <= row.high
        assert 0 <= row.interval[0] <= row.accuracy <= row.interval[1] <= 1
        assert row.groups <= row.photos


def test_photos_of_few_groups_leave_a_bin_of_the_curve_wide() -> None:
    classes, confidences = np.zeros(200, dtype=np.int64), np.full(200, 0.95)
    (row,) = reliability(sure_of(classes, confidences), truth_of(classes, np.repeat([0, 1], 100)))
    assert (row.photos, row.groups, row.accuracy) == (200, 2, 1.0)
    assert row.interval == pytest.approx((0.025**0.5, 1.0))


def test_a_calibrated_model_lies_on_the_diagonal_and_an_overconfident_one_below() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.3, 1, 6000)
    classes = np.zeros(6000, dtype=np.int64)
    for shift, below in ((0.0, False), (0.25, True)):
        right = generator.random(6000) < confidence - shift
        rows = reliability(sure_of(classes, confidence), truth_of(np.where(right, 0, 1)))
        outside = [row for row in rows if row.photos > 100 and row.interval[1] < row.confidence]
        assert (len(outside) > 5) is below


def test_the_interval_of_ece_is_not_raised_by_resampling() -> None:
    generator = np.random.default_rng(4)
    held = []
    for _ in range(20):
        confidence = generator.uniform(0.3, 1, 300)
        truth = truth_of(np.where(generator.random(300) < confidence - 0.05, 0, 1))
        scored = Scored("model", {}, sure_of(np.zeros(300, dtype=int), confidence), 1.0)
        sides = assess("x", scored, truth, GroupBootstrap(truth.group_numbers, seed=0, replicates=100), 1.0).intervals
        held.append(sides["ece"].low <= 0.05 <= sides["ece"].high)
    assert np.mean(held) > 0.7


def test_automation_by_hand() -> None:
    # From the surest photo on: right, right, wrong, right; the last two share a confidence.
    found = automate(sure_of([0, 1, 2, 3], [0.9, 0.8, 0.6, 0.6]), truth_of([0, 1, 0, 3]))
    assert found.thresholds == pytest.approx([0.9, 0.8, 0.6])
    assert found.shares == pytest.approx([0.25, 0.5, 1.0])
    assert found.precisions == pytest.approx([1.0, 1.0, 0.75])
    observed = found.targets[1].observed
    assert observed is not None
    assert (observed.share, observed.check, observed.precision) == (0.5, 0.5, 1.0)
    assert found.targets[1].proven is None, "two photos prove nothing"
    table = {point.threshold: point for point in found.table}
    assert table[0.7].share == 0.5
    nothing = table[0.95]
    assert (nothing.share, nothing.check, nothing.precision, nothing.lower_bound) == (0.0, 1.0, None, None)


@pytest.mark.parametrize(("groups", "proven"), [(101, False), (102, True)])
def test_95_percent_are_proven_by_102_faultless_groups_however_many_photos_they_have(groups: int, proven: bool) -> None:
    # At each of nine thresholds: 0.95 ** 102 < 0.05 / 9 < 0.95 ** 101
    numbers = np.repeat(np.arange(groups), 5)
    found = automate(sure_of(np.zeros(5 * groups, dtype=int), np.full(5 * groups, 0.9)), truth_of(0 * numbers, numbers))
    assert (found.targets[1].proven is not None) is proven
    assert found.targets[1].observed is not None


def test_a_precision_that_is_not_there_is_proven_in_at_most_5_of_100_test_sets() -> None:
    generator = np.random.default_rng(7)
    proven = []
    for _ in range(300):
        right = generator.random(400) < 0.945  # whatever the confidence
        found = automate(sure_of(np.zeros(400, dtype=int), generator.uniform(0.3, 1, 400)), truth_of(~right))
        proven.append(found.targets[1].proven is not None)
    assert np.mean(proven) <= 0.05


def test_what_is_proven_is_a_row_of_the_table_of_thresholds() -> None:
    generator = np.random.default_rng(8)
    found = automate(sure_of(np.zeros(900, dtype=int), generator.uniform(0.3, 1, 900)), truth_of([0] * 890 + [1] * 10))
    assert found.targets[1].proven == found.table[0]
    (pointwise,) = found.lower_bounds[-1:]
    assert 0.95 < (found.table[0].lower_bound or 0) < pointwise, "the table holds for all thresholds together"


def test_a_model_that_is_right_half_of_the_time_at_any_confidence_automates_nothing() -> None:
    generator = np.random.default_rng(2)
    confidence = generator.uniform(0.3, 1, 500)
    right = generator.random(500) < 0.5
    found = automate(sure_of(np.zeros(500, dtype=int), confidence), truth_of(np.where(right, 0, 1)))
    assert [target.proven for target in found.targets] == [None, None, None]
    plain = found.as_dict()
    assert plain["targets"]["0.95"]["proven"] is None
    assert plain["thresholds"][-1]["check"] > 0.9


def test_a_sharper_lower_confidence_part_is_left_to_people() -> None:
    # 300 sure photos all right, 700 unsure ones at chance: three tenths and a little can be answered.
    generator = np.random.default_rng(3)
    confidence = np.concatenate([generator.uniform(0.9, 1, 300), generator.uniform(0.3, 0.5, 700)])
    right = np.concatenate([np.ones(300, dtype=bool), generator.random(700) < 0.3])
    found = automate(sure_of(np.zeros(1000, dtype=int), confidence), truth_of(np.where(right, 0, 1)))
    proven = found.targets[1].proven
    assert proven is not None
    assert 0.3 <= proven.share < 0.32
    assert proven.lower_bound is not None
    assert proven.lower_bound >= 0.95


@pytest.mark.parametrize("photos", [1, 20_000])
def test_charts_stay_small_however_many_photos_there_are(photos: int) -> None:
    generator = np.random.default_rng(6)
    probabilities = generator.dirichlet(np.ones(5), photos).astype(np.float32)
    truth = truth_of(generator.integers(0, 5, photos))
    bootstrap = GroupBootstrap(truth.group_numbers, seed=0, replicates=2)
    study = assess("challenger", Scored("model", {}, probabilities, 1.0), truth, bootstrap, 1.0).study
    assert study is not None
    charts = [automation_chart({"challenger": study, "champion": study}), threshold_chart(study)]
    assert all(1_000 < len(chart) < 60_000 for chart in charts)


def decisions() -> ModuleType:
    """The API's own module, which this package may not import."""
    spec = importlib.util.spec_from_file_location("tally_api_decisions", ROOT / "lambda" / "api" / "decisions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_orders_are_decided_as_the_api_decides_them() -> None:
    api = decisions()
    thresholds = api.Thresholds()
    assert (thresholds.pass_probability, thresholds.fail_probability) == (PASS_PROBABILITY, FAIL_PROBABILITY)
    generator = np.random.default_rng(5)
    probabilities = generator.dirichlet(np.full(5, 0.2), 200).astype(np.float32)
    truth = truth_of(generator.integers(0, 5, 200), np.repeat(np.arange(50), 4))
    found = order_check(probabilities, truth)
    tallied: dict[str, dict[str, int]] = {name: {"pass": 0, "review": 0, "fail": 0} for name in found}
    for row, true in zip(probabilities.astype(np.float64), truth.true.tolist(), strict=True):
        for expected in range(5):
            situation = ("as ordered", "one off", "more off")[min(abs(expected - true), 2)]
            tallied[situation][thresholds.decide(float(row[expected]))] += 1
    for situation, shares in found.items():
        counted = tallied[situation]
        assert shares.questions == sum(counted.values())
        assert shares.share["pass"] == pytest.approx(counted["pass"] / shares.questions)
        assert shares.share["review"] == pytest.approx(counted["review"] / shares.questions)
        assert shares.share["fail"] == pytest.approx(counted["fail"] / shares.questions)
        for name, (low, high) in shares.intervals.items():
            assert low <= shares.share[name] <= high
            assert high - low > 0.05, "fifty groups say no more"
    assert sum(shares.questions for shares in found.values()) == 5 * 200


def test_a_perfect_model_passes_what_is_there_and_fails_everything_else() -> None:
    true = np.arange(50) % 5
    found = order_check(sure_of(true, np.full(50, 0.96)), truth_of(true))
    assert found["as ordered"].share == {"pass": 1.0, "review": 0.0, "fail": 0.0}
    assert found["one off"].share == {"pass": 0.0, "review": 0.0, "fail": 1.0}
    # What never happened may still happen. 30 photos are asked two such questions, 20 (of 1 and 5 objects) one.
    worth = (30 * 2 + 20) ** 2 / (30 * 2**2 + 20)
    assert found["one off"].intervals["pass"] == pytest.approx((0.0, 1 - 0.025 ** (1 / worth)))
