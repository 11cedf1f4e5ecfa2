"""The gate's numbers against published values, other libraries, hand computation and simulation."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlxtend.evaluate import mcnemar as mlxtend_mcnemar
from scipy.stats import chi2, norm, permutation_test
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from tally.gate.mcnemar import chi_squared, clustered, exact, obuchowski
from tally.gate.pairs import Pairs
from tally.gate.power import effective_photos, gain_interval, power, smallest_detectable_gain

Floats = npt.NDArray[np.float64]


def pairs_from(sizes: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Pairs:
    n, b_, c_ = (np.asarray(values, dtype=np.int64) for values in (sizes, b, c))
    return Pairs(both=n - b_ - c_, b=b_, c=c_, neither=np.zeros_like(n))


def test_the_published_table_of_the_bin_photo_report() -> None:
    assert chi_squared(208, 367) == pytest.approx(43.4, abs=0.05)
    assert chi2.sf(chi_squared(208, 367), 1) < 1e-4
    assert exact(208, 367).p_value < 1e-4


def test_mlxtends_documented_examples() -> None:
    # User guide of mlxtend.evaluate.mcnemar: examples 2 (25 against 15) and 3 (11 against 1)
    assert chi_squared(25, 15) == pytest.approx(2.025)
    assert chi2.sf(chi_squared(25, 15), 1) == pytest.approx(0.154728923485)
    # Example 3 gives the formula 2 sum_{i=b}^{n} C(n, i) / 2^n; the number printed below it there, 0.005859375, comes
    # from an old release that left out the term i = n. Today's mlxtend agrees with the formula, and with this.
    assert exact(11, 1).p_value == 2 * (math.comb(12, 11) + math.comb(12, 12)) / 2**12
    assert exact(11, 1).p_value == mlxtend_mcnemar(np.array([[9959, 11], [1, 29]]), exact=True)[1]


@pytest.mark.parametrize(
    ("b", "c", "exact_p", "corrected", "corrected_p", "plain", "plain_p"),
    [
        (121, 59, 0.000004, 20.67222, 5.450095e-06, 21.35556, 3.815136e-06),
        (70, 59, 0.378688, 0.7751938, 0.3786151, 0.9379845, 0.3327967),
        (80, 59, 0.089452, 2.87769784, 0.08981434, 3.17266187, 0.07488031),
    ],
)
def test_statsmodels_published_values_from_r(
    b: int, c: int, exact_p: float, corrected: float, corrected_p: float, plain: float, plain_p: float
) -> None:
    assert exact(b, c).p_value == pytest.approx(exact_p, abs=1e-6)
    assert chi_squared(b, c) == pytest.approx(corrected, rel=1e-6)
    assert chi2.sf(chi_squared(b, c), 1) == pytest.approx(corrected_p, rel=1e-6)
    assert chi_squared(b, c, corrected=False) == pytest.approx(plain, rel=1e-6)
    assert chi2.sf(chi_squared(b, c, corrected=False), 1) == pytest.approx(plain_p, rel=1e-6)


def test_mid_p_of_fagerlands_airway_example() -> None:
    # Fagerland et al. 2013, table 1 (b = 1, c = 7, n = 21): exact 0.070, mid-p 0.039
    found = exact(1, 7)
    assert found.p_value == pytest.approx(0.0703125)
    assert found.mid_p == pytest.approx(0.0390625)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_exact_and_chi_squared_equal_both_libraries(b: int, c: int) -> None:
    table = np.array([[7, b], [c, 5]])
    found = exact(b, c)
    assert found.p_value == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue, abs=1e-12)
    if b + c:
        assert found.p_value == pytest.approx(mlxtend_mcnemar(table, exact=True)[1], abs=1e-12)
        for corrected in (True, False):
            if corrected and b == c:
                continue  # the correction overshoots there: (0 - 1)^2; this gate says 0
            assert chi_squared(b, c, corrected=corrected) == pytest.approx(
                statsmodels_mcnemar(table, exact=False, correction=corrected).statistic
            )
            assert chi_squared(b, c, corrected=corrected) == pytest.approx(mlxtend_mcnemar(table, corrected)[0])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_exact_p_is_symmetric_a_probability_and_above_its_mid_p(b: int, c: int) -> None:
    found = exact(b, c)
    assert 0 < found.mid_p <= found.p_value <= 1
    assert found == exact(c, b)


groups_of_counts = st.lists(
    st.integers(1, 8).flatmap(
        lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(n), st.just(b), st.integers(0, n - b)))
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(groups_of_counts)
def test_clustered_p_is_symmetric_a_probability_and_above_its_mid_p(groups: list[tuple[int, int, int]]) -> None:
    pairs = pairs_from(*zip(*groups, strict=True))
    swapped = Pairs(both=pairs.both, b=pairs.c, c=pairs.b, neither=pairs.neither)
    found, mirrored = clustered(pairs.differences), clustered(swapped.differences)
    assert 0 < found.mid_p <= found.p_value <= 1
    assert found.p_value == pytest.approx(mirrored.p_value)
    assert found.statistic == pytest.approx(mirrored.statistic)
    low, high = gain_interval(pairs, 0.05)
    assert -1 <= low <= high <= 1
    assert 0 < effective_photos(pairs) <= pairs.photos


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_the_clustered_test_with_one_photo_a_group_is_mcnemars_exact_test(b: int, c: int, same: int) -> None:
    differences = np.repeat([-1, 1, 0], [b, c, same])
    found = clustered(differences)
    assert (found.p_value, found.mid_p) == pytest.approx((exact(b, c).p_value, exact(b, c).mid_p))
    if b + c:
        groups = b + c + same
        plain = statsmodels_mcnemar([[same, b], [c, 0]], exact=False, correction=False).statistic
        assert found.statistic == pytest.approx(plain * (groups - 1) / groups)


def test_the_clustered_test_by_hand() -> None:
    # Groups of 4, 2, 5 and 1 photos; the challenger alone is right on 2, 1, 0, 1, the champion on 0, 0, 2, 0.
    pairs = pairs_from([4, 2, 5, 1], [0, 0, 2, 0], [2, 1, 0, 1])
    # d = 2, 1, -2, 1: sum 2, squares 10, and (4 - 1) / 4
    assert obuchowski(pairs.differences) == pytest.approx(4 / 10 * 3 / 4)
    # Of the 16 sign patterns the sums are +-6 (once each), +-4 (twice each), +-2 (three times each), 0 (four times).
    found = clustered(pairs.differences)
    assert found.p_value == pytest.approx((2 * 1 + 2 * 2 + 2 * 3) / 16)
    assert found.mid_p == pytest.approx((2 * 1 + 2 * 2 + 3) / 16)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=9))
def test_clustered_p_is_scipys_exact_permutation_test(differences: list[int]) -> None:
    oracle = permutation_test((np.array(differences),), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert clustered(differences).p_value == pytest.approx(oracle.pvalue)


def test_obuchowskis_statistic_from_her_variances_and_covariance() -> None:
    # clust.bin.pair, help of clust.bin.pair: 5 groups given as cells a, b, c, d
    a, b, c, d = (
        np.array(cell) for cell in ([1, 3, 0, 1, 2], [51, 67, 44, 58, 47], [18, 26, 43, 21, 28], [0, 2, 1, 3, 4])
    )
    n, k = a + b + c + d, len(a)
    one, other, photos = a + b, a + c, n.sum()
    pooled = (one.sum() + other.sum()) / (2 * photos)
    scale = k / (k - 1) / photos**2
    variances = [scale * ((x - n * pooled) ** 2).sum() for x in (one, other)]
    covariance = scale * ((one - n * pooled) * (other - n * pooled)).sum()
    statistic = ((one.sum() - other.sum()) / photos) ** 2 / (sum(variances) - 2 * covariance)
    assert obuchowski(pairs_from(n, b, c).differences) == pytest.approx(statistic)


def test_small_p_values_keep_their_digits_and_large_sets_are_quick() -> None:
    assert clustered(np.full(200, 3)).p_value == pytest.approx(2.0 * 2**-200, rel=1e-9)
    generator = np.random.default_rng(5)
    many = generator.integers(-9, 10, 3_000)
    assert clustered(many).p_value == pytest.approx(float(chi2.sf(obuchowski(many), 1)), rel=0.01)


def correlated_groups(generator: np.random.Generator, groups: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Equal models whose photos of one group mostly favour the same model: sizes, b, c."""
    sizes = generator.integers(1, 20, groups)
    discordant = generator.binomial(sizes, 0.35)
    c = generator.binomial(discordant, generator.beta(0.5, 0.5, groups))
    return sizes, discordant - c, c


@pytest.mark.parametrize("groups", [10, 40])
def test_equal_models_on_correlated_photos_pass_no_more_often_than_alpha(groups: int) -> None:
    generator = np.random.default_rng(groups)
    runs = 1_000
    wrong = naive = 0
    for _ in range(runs):
        _, b, c = correlated_groups(generator, groups)
        wrong += clustered(c - b).p_value < 0.05
        naive += exact(int(b.sum()), int(c.sum())).p_value < 0.05
    assert wrong / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert wrong / runs > 0.02
    assert naive / runs > 0.15  # what ignoring groups would have cost


def test_models_that_are_equal_over_photos_and_not_over_groups_pass_no_more_often_than_alpha() -> None:
    # The challenger wins in 10 groups of 18 photos and loses as many photos in 180 groups of one.
    generator = np.random.default_rng(11)
    sizes, runs = np.repeat([18, 1], [10, 180]), 600
    lean = np.repeat([0.7, 0.3], [10, 180])
    wrong = by_groups = 0
    for _ in range(runs):
        discordant = generator.binomial(sizes, 0.5)
        c = generator.binomial(discordant, lean)
        wrong += clustered(2 * c - discordant).p_value < 0.05
        mean = (2 * c - discordant) / sizes
        by_groups += chi2.sf(mean.sum() ** 2 / (mean**2).sum(), 1) < 0.05  # Durkalski's, which weighs groups alike
    assert wrong / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert by_groups / runs > 0.5


def test_the_interval_is_as_wide_as_statsmodels_cluster_robust_one() -> None:
    generator = np.random.default_rng(2)
    sizes, b, c = correlated_groups(generator, 120)
    by_photo = np.concatenate([np.repeat([-1.0, 1.0, 0.0], cells) for cells in zip(b, c, sizes - b - c, strict=True)])
    number = np.repeat(np.arange(120), sizes)
    fit = OLS(by_photo, np.ones(len(by_photo))).fit(cov_type="cluster", cov_kwds={"groups": number}, use_t=True)
    assert gain_interval(pairs_from(sizes, b, c), 0.05) == pytest.approx(fit.conf_int()[0], abs=2e-3)


def test_the_interval_without_groups_is_agresti_and_mins() -> None:
    pairs = pairs_from(np.ones(200), np.repeat([1, 0], [20, 180]), np.repeat([0, 1, 0], [20, 35, 145]))
    n, b, c = 202, 20.5, 35.5
    centre = (c - b) / n
    half = norm.ppf(0.975) * math.sqrt((b + c) / n - centre**2) / math.sqrt(n)
    low, high = gain_interval(pairs, 0.05)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-3)  # t(199) instead of normal


def test_the_interval_holds_the_true_gain_as_often_as_it_says() -> None:
    generator = np.random.default_rng(8)
    runs, held = 600, 0
    for _ in range(runs):
        sizes = generator.integers(1, 15, 40)
        lean = generator.beta(1.5, 0.9, 40)  # mean 0.625: a true gain of 0.3 * (2 * 0.625 - 1)
        discordant = generator.binomial(sizes, 0.3)
        c = generator.binomial(discordant, lean)
        low, high = gain_interval(pairs_from(sizes, discordant - c, c), 0.05)
        held += low <= 0.3 * 0.25 <= high
    assert 0.92 < held / runs < 0.98


def test_one_group_alone_says_nothing_about_the_gain() -> None:
    assert gain_interval(pairs_from([30], [0], [20]), 0.05) == (-1.0, 1.0)


def test_power_agrees_with_simulation() -> None:
    generator = np.random.default_rng(3)
    n, share, gain, runs = 600, 0.3, 0.06, 4_000
    discordant = generator.binomial(n, share, runs)
    c = generator.binomial(discordant, (share + gain) / (2 * share))
    z = (2 * c - discordant) / np.sqrt(np.maximum(discordant, 1))
    simulated = (np.abs(z) > norm.ppf(0.975)).mean()
    assert power(gain, n, share, 0.05) == pytest.approx(simulated, abs=0.03)


def test_power_by_connors_formula() -> None:
    # Connor 1987: n = (z(a/2) sqrt(psi) + z(b) sqrt(psi - d^2))^2 / d^2 photos give power 1 - b
    share, gain = 0.4, 0.05
    n = (norm.ppf(0.975) * math.sqrt(share) + norm.ppf(0.8) * math.sqrt(share - gain**2)) ** 2 / gain**2
    assert power(gain, n, share, 0.05) == pytest.approx(0.8)
    assert smallest_detectable_gain(n, share, 0.05, 0.8) == pytest.approx(gain, abs=1e-6)


def test_more_photos_see_smaller_gains() -> None:
    gains = [smallest_detectable_gain(n, 0.4, 0.05, 0.8) for n in (1, 10, 100, 1_000, 10_000)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] == 1.0
    assert gains[-1] < 0.02


def test_photos_that_agree_within_groups_are_worth_fewer() -> None:
    # 50 groups of 10 whose discordant photos all favour one model: worth one group of evidence each.
    b, c = np.repeat([10, 0], [25, 25]), np.repeat([0, 10], [25, 25])
    assert effective_photos(pairs_from(np.full(50, 10), b, c)) == pytest.approx(50)
    assert effective_photos(pairs_from(np.ones(50), np.repeat([1, 0], 25), np.repeat([0, 1], 25))) == 50
    assert effective_photos(pairs_from(np.full(50, 10), np.zeros(50), np.zeros(50))) == 50
