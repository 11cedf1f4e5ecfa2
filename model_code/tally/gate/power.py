"""How much the test set can say: interval of the gain, power, smallest detectable gain.

Power is that of the asymptotic McNemar test (Connor 1987, "Sample size for testing differences in proportions for the
paired-sample design", Biometrics 43:207-211; Miettinen 1968, Biometrics 24:339-352). It is computed for a gain named
beforehand, never for the one observed: that would only repeat the p-value (Hoenig & Heisey 2001).
"""

import math

import numpy as np
from scipy.stats import norm, t

from tally.gate.pairs import Pairs


def gain_interval(pairs: Pairs, alpha: float) -> tuple[float, float]:
    """Interval of level 1 - alpha for the accuracy gain, aware of groups.

    Agresti & Min's "Wald+2" (Statistics in Medicine 2005, 24:729-740: half a photo more in each cell), with the
    variance of the gain taken between groups (Obuchowski 1998, Statistics in Medicine 17:1495-1507) and Student's t
    with groups - 1 degrees of freedom. With one photo a group the variance is Agresti & Min's own. One group alone
    says nothing about its like: [-1, 1].
    """
    if pairs.groups == 1:
        return -1.0, 1.0
    differences = pairs.differences
    photos = pairs.photos + 2
    centre = float(differences.sum()) / photos
    # The four half photos: one half each at +1 and -1, two halves at 0.
    spread = float(((differences - centre * pairs.sizes) ** 2).sum()) + 0.5 * (1 - centre) ** 2
    spread += 0.5 * (1 + centre) ** 2 + centre**2
    half = float(t.ppf(1 - alpha / 2, pairs.groups - 1)) * math.sqrt(spread) / photos
    return max(-1.0, centre - half), min(1.0, centre + half)


def discordance(pairs: Pairs) -> float:
    """Share of photos, by weight, that exactly one model gets right, with Agresti & Min's half photos, so never 0."""
    return float(pairs.b.sum() + pairs.c.sum() + 1) / (pairs.photos + 2)


def effective_photos(pairs: Pairs) -> float:
    """How many independent photos the test is worth: n for exact, fewer when photos of a group agree.

    The number with which McNemar's variance of the gain, discordance / n, equals the one in Obuchowski's denominator,
    sum d_k^2 / n^2; at most n. Photos that do not weigh the same are worth fewer, too. Without any discordant photo
    nothing tells how alike photos of a group are: as if all were, n^2 / sum w_k^2 of groups that weigh w_k (Kish 1965,
    "Survey Sampling"), one photo a group where they weigh the same.
    """
    if pairs.single:
        return float(pairs.photos)
    discordant = float(pairs.b.sum() + pairs.c.sum())
    if not discordant:
        return pairs.photos**2 / float((pairs.sizes**2).sum())
    # Groups whose gains and losses cancel, all of them, leave no square: they agree less than independent photos.
    cells = np.concatenate([pairs.b, pairs.c])
    squares = max(float((pairs.differences**2).sum()), min(1.0, float(cells[cells > 0].min())) ** 2)
    return min(float(pairs.photos), pairs.photos * discordant / squares)


def power(gain: float, photos: float, discordant: float, alpha: float) -> float:
    """Chance that the two-sided test at `alpha` sees a true `gain` > 0 on `photos` independent photos.

    Phi((gain sqrt(n) - z sqrt(psi)) / sqrt(psi - gain^2)) with z = z(1 - alpha / 2) and psi the share of discordant
    photos, which is at least the gain.
    """
    share = max(discordant, gain)
    excess = gain * math.sqrt(photos) - float(norm.ppf(1 - alpha / 2)) * math.sqrt(share)
    variance = share - gain**2
    if variance <= 0:
        return float(excess > 0)
    return float(norm.cdf(excess / math.sqrt(variance)))


def smallest_detectable_gain(photos: float, discordant: float, alpha: float, wanted_power: float) -> float:
    """The gain whose power reaches `wanted_power`; 1 when not even a gain of 100 points would."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if power(middle, photos, discordant, alpha) < wanted_power:
            low = middle
        else:
            high = middle
    return float(np.round(high, 6))
