"""Tests for "one model is right more often than the other" on paired answers, two-sided.

Sources: McNemar 1947; exact and mid-p: Fagerland, Lydersen, Laake 2013, "The McNemar test for binary matched-pairs
data", BMC Med. Res. Methodol. 13:91; clustered: Durkalski, Palesch, Lipsitz, Rust 2003, "Analysis of clustered
matched-pair data", Statistics in Medicine 22:2417-2428.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, chi2

from tally.gate.pairs import Pairs

ENUMERABLE = 20
"""Up to this many informative groups the clustered test enumerates; above, chi-squared holds (see `clustered`)."""


@dataclass(frozen=True)
class Evidence:
    """`name` is "exact" or "clustered"; `statistic` is a chi-squared with 1 degree of freedom."""

    name: str
    statistic: float
    p_value: float
    mid_p: float


def mcnemar(pairs: Pairs) -> Evidence:
    """Exact when every group has one photo, clustered as soon as any has more."""
    return clustered(pairs.group_gains) if pairs.clustered else exact(int(pairs.b.sum()), int(pairs.c.sum()))


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


def durkalski(group_gains: npt.ArrayLike) -> float:
    """Durkalski's chi-squared from d_k = (c_k - b_k) / n_k: (sum d_k)^2 / sum d_k^2; 0 when every d_k is 0.

    With one photo a group this is McNemar's uncorrected chi-squared.
    """
    gains = np.asarray(group_gains, dtype=np.float64)
    squares = float((gains**2).sum())
    return float(gains.sum()) ** 2 / squares if squares else 0.0


def clustered(group_gains: npt.ArrayLike) -> Evidence:
    """Durkalski's test, exact where there are few groups.

    The statistic's chi-squared distribution needs many informative groups (d_k not 0): with 4 of equal gain it
    calls 1 in 8 equal models different at alpha 0.05. Up to ENUMERABLE of them the statistic is therefore referred to
    its own distribution over all 2^k exchanges of the two models within groups, the clustered form of the exact
    binomial test. Above, p comes from chi-squared, which is continuous, so mid-p equals p.
    """
    gains = np.asarray(group_gains, dtype=np.float64)
    statistic = durkalski(gains)
    informative = np.abs(gains[gains != 0])
    if len(informative) > ENUMERABLE:
        p_value = float(chi2.sf(statistic, 1))
        return Evidence("clustered", statistic, p_value, p_value)
    sums = np.zeros(1)
    for gain in informative:
        sums = np.concatenate([sums + gain, sums - gain])
    # Sums of the same fractions in another order differ in the last bits only.
    excess, slack = sums - abs(float(gains.sum())), 1e-9
    above, at = float((excess > slack).mean()), float((np.abs(excess) <= slack).mean())
    return Evidence("clustered", statistic, p_value=min(1.0, 2 * (above + at)), mid_p=min(1.0, 2 * above + at))
