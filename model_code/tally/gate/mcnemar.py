"""Tests for "one model is right more often than the other" on paired answers, two-sided.

Sources: McNemar 1947; exact and mid-p: Fagerland, Lydersen, Laake 2013, "The McNemar test for binary matched-pairs
data", BMC Med. Res. Methodol. 13:91; clustered: Obuchowski 1998, "On the comparison of correlated proportions for
clustered data", Statistics in Medicine 17:1495-1507. Why hers: docs/adr/0016-the-gate-tests-the-gain-it-shows.md;
with weights: docs/adr/0026-the-gate-can-weigh-counts-alike.md.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from tally.gate.pairs import Pairs


@dataclass(frozen=True)
class Evidence:
    """`name` is "exact", "clustered" or "class-balanced"; `statistic` is a chi-squared with 1 degree of freedom, for
    comparison with published values: p comes from exact distributions."""

    name: str
    statistic: float
    p_value: float
    mid_p: float


def mcnemar(pairs: Pairs) -> Evidence:
    """Exact when every group has one photo, clustered as soon as any has more, class-balanced where photos weigh."""
    if pairs.weighed:
        return balanced(pairs.differences)
    return exact(int(pairs.b.sum()), int(pairs.c.sum())) if pairs.single else clustered(pairs.differences)


def exact(b: int, c: int) -> Evidence:
    """Binomial test of b against c at 1/2: p = 2 P(X <= min(b, c)), at most 1; mid-p takes the observed point half.

    Both are 1 when there is no discordant photo.
    """
    tail, point = binom.cdf(min(b, c), b + c, 0.5), binom.pmf(min(b, c), b + c, 0.5)
    return Evidence(
        "exact", chi_squared(b, c), p_value=min(1.0, 2 * float(tail)), mid_p=min(1.0, float(2 * tail - point))
    )


def chi_squared(b: int, c: int, *, corrected: bool = True) -> float:
    """McNemar's (b - c)^2 / (b + c), with Edwards' correction (|b - c| - 1)^2 unless told otherwise; 0 when b = c."""
    difference = abs(b - c)
    if not difference:
        return 0.0
    return (difference - corrected) ** 2 / (b + c)


def obuchowski(differences: npt.ArrayLike) -> float:
    """Obuchowski's chi-squared from d_k = c_k - b_k of each of K groups: (K - 1) / K (sum d_k)^2 / sum d_k^2.

    Her variance of the gain, with both accuracies pooled, comes to this (Yang, Sun & Hardin 2010, Biometrical Journal
    52:638-652). 0 when every d_k is 0. With one photo a group it is McNemar's uncorrected chi-squared times
    (K - 1) / K.
    """
    gains = np.asarray(differences, dtype=np.float64)
    squares = float((gains**2).sum())
    return float(gains.sum()) ** 2 / squares * (len(gains) - 1) / len(gains) if squares else 0.0


def clustered(differences: npt.ArrayLike) -> Evidence:
    """Test d_k = c_k - b_k, whole numbers, one a group: is their sum, the gain in photos, more than chance?

    The sum is referred to its own distribution over all exchanges of the two models within groups: each d_k keeps its
    size and turns its sign with probability 1/2. So it is exact for any number and any sizes of groups, however alike
    their photos are, and with one photo a group it is McNemar's exact test. Exchanges leave the denominator of
    Obuchowski's statistic as it is, so this is her test with its exact distribution.
    """
    values = np.asarray(differences, dtype=np.int64)
    flipped = _flipped(np.abs(values[values != 0]))
    total, observed = len(flipped) - 1, abs(int(values.sum()))
    sums = total - 2 * np.arange(total + 1)
    above, at = float(flipped[sums > observed].sum()), float(flipped[sums == observed].sum())
    return Evidence("clustered", obuchowski(values), p_value=min(1.0, 2 * (above + at)), mid_p=min(1.0, 2 * above + at))


def balanced(differences: npt.ArrayLike) -> Evidence:
    """`clustered` for d_k that are sums of weights, not whole numbers; p is at least 1e-12.

    They are rounded to a thousandth of a photo, coarser only where all of them would have more than `_GRID` steps. The
    distribution of their sum is the product of their characteristic functions, cos(d_k t), turned back by an FFT, which
    is right to some 1e-14.
    """
    values = np.asarray(differences, dtype=np.float64)
    statistic, total = obuchowski(values), float(np.abs(values).sum())
    if not total:
        return Evidence("class-balanced", statistic, p_value=1.0, mid_p=1.0)
    scale = min(_FINEST, max(1.0, _GRID // total))  # a whole number, so that whole d_k keep their ties
    steps = np.rint(values * scale).astype(np.int64)
    observed = int(steps.sum())
    if scale < _FINEST:
        # Photos of one count are all rounded alike, which adds up: the sum is rounded by itself, to a sum there can be.
        observed += 2 * round((float(values.sum()) * scale - observed) / 2)
    observed = min(abs(observed), int(np.abs(steps).sum()))
    length = int(np.abs(steps).sum()) + 1  # of the sums -length + 1, -length + 3, ..., length - 1
    turn = np.arange(length // 2 + 1)
    waves = np.ones(len(turn))
    for size, groups in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        waves *= np.cos(np.pi * ((size * turn) % (2 * length)) / length) ** groups
        loud = np.abs(waves) > _SILENT
        turn, waves = turn[loud], waves[loud]
    # Sum s has its place at (s + length - 1) / 2: a shift by half of the length, turned as every wave is.
    spectrum = np.zeros(length // 2 + 1, dtype=np.complex128)
    spectrum[turn] = waves * np.exp(-1j * np.pi * ((turn * (length - 1)) % (2 * length)) / length)
    chances = np.fft.irfft(spectrum, length)
    sums = 2 * np.arange(length) - length + 1
    above, at = float(chances[sums > observed].sum()), float(chances[sums == observed].sum())
    p_value = min(1.0, max(2 * (above + at), _LEAST_P))
    return Evidence("class-balanced", statistic, p_value, mid_p=min(p_value, max(2 * above + at, _LEAST_P / 2)))


_FINEST = 1000.0
_GRID = 2**20
_LEAST_P = 1e-12
_SILENT = 1e-22
"""Smaller waves are left out: all of them together change the chance of a sum by less than this."""


def _flipped(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Probability of every sum 0..sizes.sum() of those `sizes` that turn their sign.

    Equal sizes turn binomially; the distributions are convolved directly, where an FFT would drown small p-values.
    """
    distribution = np.ones(1)
    for size, groups in zip(*np.unique(sizes, return_counts=True), strict=True):
        turned = np.zeros(size * groups + 1)
        turned[::size] = binom.pmf(np.arange(groups + 1), groups, 0.5)
        distribution = np.convolve(distribution, turned)
    return distribution
