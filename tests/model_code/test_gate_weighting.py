"""The gate where every count weighs alike: gain, test, interval and verdict against other libraries and simulation."""

import math
import re
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, permutation_test
from sklearn.metrics import balanced_accuracy_score
from statsmodels.regression.linear_model import WLS

from tally.errors import TallyError
from tally.gate import GateSettings, Pairs, Verdict, decide
from tally.gate.mcnemar import balanced, clustered, obuchowski
from tally.gate.power import discordance, effective_photos, gain_interval

OPEN = GateSettings(weighting="counts", max_macro_f1_drop=1.0, max_recall_drop=1.0, max_rmse_increase=4.0)
Ints = npt.NDArray[np.int64]


def judge(true: npt.ArrayLike, champion: npt.ArrayLike, challenger: npt.ArrayLike, weighting: str) -> Verdict:
    names = [str(i) for i in range(len(np.asarray(true)))]
    chosen = replace(OPEN, weighting=weighting)
    return decide(true, champion, challenger, names, latency_ms=(1.0, 1.0), settings=chosen)


def answers(generator: np.random.Generator, true: Ints, right: npt.ArrayLike) -> Ints:
    """Answers that are right with probability `right`, of all photos or of each."""
    return np.where(generator.random(len(true)) < np.asarray(right), true, (true + 1) % 5)


def drawn(seed: int, photos: int = 300, groups: int = 120) -> tuple[Ints, Ints, Ints, list[str]]:
    """Truth with rare and common counts, two models' answers, and groups that hold photos of several counts."""
    generator = np.random.default_rng(seed)
    true = generator.choice(5, photos, p=[0.4, 0.15, 0.05, 0.15, 0.25])
    group = [str(number) for number in generator.integers(0, groups, photos)]
    return true, answers(generator, true, 0.5), answers(generator, true, 0.6), group


def test_the_gain_is_that_of_scikit_learns_balanced_accuracy() -> None:
    true, champion, challenger, groups = drawn(1)
    pairs = Pairs.of(true, champion, challenger, groups, weighed=True)
    assert pairs.gain == pytest.approx(
        balanced_accuracy_score(true, challenger) - balanced_accuracy_score(true, champion)
    )
    assert pairs.photos == 300
    assert pairs.groups == len(set(groups))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=60))
def test_of_whole_numbers_it_is_the_clustered_test(differences: list[int]) -> None:
    found, whole = balanced(differences), clustered(differences)
    assert (found.p_value, found.mid_p) == pytest.approx((whole.p_value, whole.mid_p), abs=1e-11)
    assert found.statistic == whole.statistic


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-6, 6), min_size=2, max_size=9), st.integers(0, 2**32 - 1))
def test_p_is_scipys_exact_permutation_test(differences: list[float], seed: int) -> None:
    # A little noise, or sums may tie but for the last digit, which the grid and scipy need not see alike.
    values = np.array(differences) + np.random.default_rng(seed).uniform(0.01, 0.1, len(differences))
    oracle = permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert balanced(values).p_value == pytest.approx(oracle.pvalue, abs=2.0 ** (2 - len(values)))
    assert balanced(values).p_value == pytest.approx(balanced(-values).p_value)


def test_p_by_hand() -> None:
    # Weights 1, 2.5 and 4: of the eight sums only +-7.5 are as far off as 1 + 2.5 + 4; of 1 + 2.5 - 4 = -0.5 all are.
    assert balanced([1, 2.5, 4]).p_value == pytest.approx(2 / 8)
    assert balanced([1, 2.5, -4]).p_value == pytest.approx(1)
    assert balanced([-1, 2.5, 4]).p_value == pytest.approx(4 / 8)
    assert balanced([0.0, 0.0]).p_value == 1
    assert balanced(np.full(5, 0.4004)).p_value == pytest.approx(2 / 32)  # each is rounded, and so is their sum
    surely = balanced(np.full(200, 0.7))
    assert (surely.p_value, surely.mid_p) == (1e-12, 5e-13), "not below what the FFT can tell"


def test_large_sets_are_quick_and_near_the_chi_squared() -> None:
    many = np.random.default_rng(5).normal(0.02, 1.7, 30_000)
    began = time.process_time()
    found = balanced(many)
    assert time.process_time() - began < 2
    assert found.p_value == pytest.approx(float(chi2.sf(obuchowski(many), 1)), rel=0.05)


def test_rounding_on_large_sets_does_not_shift_the_gain() -> None:
    # Photos of one count are all rounded alike: a common count that is won and rare ones that are lost would add up.
    generator, photos = np.random.default_rng(7), 100_000
    true = generator.choice(5, photos, p=[0.4, 0.15, 0.05, 0.15, 0.25])
    better = np.array([0.05, -0.03, -0.02, 0.02, -0.02])[true]
    one, other = answers(generator, true, 0.5), answers(generator, true, 0.5 + better)
    pairs = Pairs.of(true, one, other, [str(i) for i in range(photos)], weighed=True)
    expected = float(chi2.sf(obuchowski(pairs.differences), 1))
    assert balanced(pairs.differences).p_value == pytest.approx(expected, rel=0.02, abs=1e-4)


@pytest.mark.e2e  # 400 gates
def test_equal_models_on_correlated_photos_pass_no_more_often_than_alpha() -> None:
    generator, runs, wrong = np.random.default_rng(4), 400, 0
    for _ in range(runs):
        size = generator.integers(1, 8, 60)
        group = np.repeat(np.arange(60), size)
        true = generator.choice(5, len(group), p=[0.4, 0.15, 0.05, 0.15, 0.25])
        lean = generator.beta(0.5, 0.5, 60)[group]  # photos of one group mostly favour the same model
        discordant, won = generator.random(len(group)) < 0.35, generator.random(len(group)) < lean
        champion = np.where(discordant & won, (true + 1) % 5, true)
        challenger = np.where(discordant & ~won, (true + 1) % 5, true)
        pairs = Pairs.of(true, champion, challenger, [str(number) for number in group], weighed=True)
        wrong += balanced(pairs.differences).p_value < 0.05
    assert 0.02 < wrong / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_the_interval_is_statsmodels_cluster_robust_one_of_weighted_photos() -> None:
    true, champion, challenger, groups = drawn(2)
    right = (challenger == true).astype(float) - (champion == true)
    weights = (len(true) / (5 * np.bincount(true)))[true]
    number = np.unique(groups, return_inverse=True)[1]
    fit = WLS(right, np.ones(len(true)), weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": number}, use_t=True
    )
    pairs = Pairs.of(true, champion, challenger, groups, weighed=True)
    assert gain_interval(pairs, 0.05) == pytest.approx(fit.conf_int()[0], abs=3e-3)


def test_photos_that_weigh_differently_are_worth_fewer() -> None:
    true, champion, challenger, _ = drawn(3)
    singles = [str(i) for i in range(len(true))]
    alike = Pairs.of(true, champion, challenger, singles)
    weighed = Pairs.of(true, champion, challenger, singles, weighed=True)
    assert effective_photos(alike) == 300
    assert 100 < effective_photos(weighed) < 250
    assert discordance(weighed) == pytest.approx(discordance(alike), abs=0.1)


def test_the_two_ways_to_weigh_can_disagree_and_the_verdict_says_which_it_was() -> None:
    # Of 300 ones the challenger loses 30; of 40 photos each of four other counts it wins 20.
    true = np.concatenate([np.zeros(300, np.int64), np.repeat([1, 2, 3, 4], 40)])
    champion = np.zeros_like(true)
    challenger = np.concatenate(
        [np.repeat([0, 1], [270, 30]), np.tile(np.repeat([0, 1], 20), 4) * np.repeat([1, 2, 3, 4], 40)]
    )
    by_counts, by_photos = (judge(true, champion, challenger, weighting) for weighting in ("counts", "photos"))
    assert by_counts.gain == pytest.approx((4 * 0.5 - 0.1) / 5)
    assert by_photos.gain == pytest.approx((80 - 30) / 460)
    assert (by_counts.verdict, by_counts.test, by_counts.weighting) == ("promote", "class-balanced", "counts")
    assert by_counts.reason.startswith(
        "With every count weighing alike the challenger is right more often on 460 photos - 38.0 points - p = "
    )
    assert (by_counts.b, by_counts.c, by_counts.n) == (by_photos.b, by_photos.c, by_photos.n) == (30, 80, 460)
    lost = judge(true, challenger, champion, "counts")
    assert (lost.verdict, lost.p_value) == ("reject", pytest.approx(by_counts.p_value))
    assert lost.reason.endswith("the challenger is right less often on 460 photos than the champion.")


def test_the_same_model_again_is_no_better() -> None:
    true, champion, _, groups = drawn(4)
    found = decide(true, champion, champion, groups, latency_ms=(1.0, 1.0), settings=OPEN)
    assert (found.verdict, found.p_value, found.gain) == ("reject", 1.0, 0.0)
    assert found.reason.startswith("No photo is counted differently")


def test_a_gain_of_one_count_that_another_loses_is_none() -> None:
    true = np.repeat([0, 1], [60, 20])
    champion = np.concatenate([np.repeat([0, 1], [30, 30]), np.full(20, 1)])
    challenger = np.concatenate([np.zeros(60, np.int64), np.repeat([1, 0], [10, 10])])
    found = judge(true, champion, challenger, "counts")  # +30 of 60 and -10 of 20
    assert found.verdict == "reject"
    assert found.reason == (
        "With every count weighing alike both are right equally often: the challenger is no better than the champion."
    )
    assert judge(true, champion, challenger, "photos").gain > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_swapping_the_models_mirrors_the_evidence(seed: int, photos: int) -> None:
    true, one, other, groups = drawn(seed, photos, 20)
    here = decide(true, one, other, groups, latency_ms=(1.0, 1.0), settings=OPEN)
    there = decide(true, other, one, groups, latency_ms=(1.0, 1.0), settings=OPEN)
    assert here.gain == pytest.approx(-there.gain)
    assert here.p_value == pytest.approx(there.p_value)
    assert 0 < here.mid_p <= here.p_value <= 1
    assert here.gain_interval == pytest.approx((-there.gain_interval[1], -there.gain_interval[0]))
    assert {here.verdict, there.verdict} != {"promote"}
    for found in (here, there):
        for value in found.summary().values():
            assert re.fullmatch(r"[\w .:/=+\-@]{1,256}", value), value


def test_another_word_is_refused() -> None:
    with pytest.raises(TallyError, match="gate setting weighting is 'groups'; it must be one of: photos, counts"):
        GateSettings(weighting="groups")
