"""Test for "one model is less accurate than another by less than a margin", on paired answers, one-sided.

Sources: score test and interval: Tango 1998, "Equivalence test and confidence interval for the difference in
proportions for the paired-sample design", Statistics in Medicine 17:891-908; photos that come in groups: Rao & Scott
1992, "A simple method for the analysis of clustered binary data", Biometrics 48:577-585; number of photos: Liu, Hsueh,
Hsieh & Chen 2002, "Tests for equivalence or non-inferiority for paired binary data", Statistics in Medicine 21:231-245.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scipy.optimize import brentq
from scipy.stats import norm

from tally.gate.pairs import Pairs
from tally.gate.power import discordance

Word = Literal["non-inferior", "inferior", "underpowered"]
_NO_STEP = 1e-9


@dataclass(frozen=True)
class NonInferiority:
    """Whether a challenger loses less than `margin` of accuracy, with all that says so.

    `b` photos are right by the champion alone, `c` by the challenger alone. `lower_bound` is the one-sided bound of
    level 1 - alpha of the gain; the verdict is non-inferior just where it lies above -margin. `power` is the chance
    that this set shows it of a challenger that is exactly as accurate and differs on as many photos, `needed_photos`
    how many of this kind show it with `wanted_power`.
    """

    verdict: Word
    margin: float
    alpha: float
    photos: int
    groups: int
    effective_photos: float
    b: int
    c: int
    gain: float
    lower_bound: float
    p_value: float
    power: float
    wanted_power: float
    needed_photos: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def judge(pairs: Pairs, margin: float, alpha: float = 0.05, wanted_power: float = 0.8) -> NonInferiority:
    """Judge photos that weigh alike. The verdict is the first that applies:

    1. p < alpha                       -> non-inferior
    2. power is at least wanted_power  -> inferior: the same accuracy would have shown
    3. otherwise                       -> underpowered: more photos could say

    ValueError when margin or alpha is not between 0 and 1, or photos do not weigh alike.
    """
    if not (0 < margin < 1 and 0 < alpha < 1):
        raise ValueError(f"margin is {margin} and alpha {alpha}; both must be between 0 and 1")
    if pairs.weighed:
        raise ValueError("non-inferiority is judged of photos as they come: pair them without weights")
    lost, won = int(pairs.b.sum()), int(pairs.c.sum())
    worth = independent_photos(pairs)
    share = worth / pairs.photos
    statistic = score(lost * share, won * share, worth, margin)
    p_value = float(norm.sf(statistic))
    likely = power(worth, discordance(pairs), margin, alpha)
    word: Word = "underpowered" if likely < wanted_power else "inferior"
    return NonInferiority(
        verdict="non-inferior" if p_value < alpha else word,
        margin=margin,
        alpha=alpha,
        photos=pairs.photos,
        groups=pairs.groups,
        effective_photos=worth,
        b=lost,
        c=won,
        gain=pairs.gain,
        lower_bound=lower_bound(lost * share, won * share, worth, alpha),
        p_value=p_value,
        power=likely,
        wanted_power=wanted_power,
        needed_photos=math.ceil(needed_photos(discordance(pairs), margin, alpha, wanted_power) / share),
    )


def independent_photos(pairs: Pairs) -> float:
    """n / D photos, with the design effect D = (sum d_k^2 + sum w_k^2 / n) / (b + c + 1) of groups with w_k photos.

    d_k are the gains of the groups in photos, sum d_k^2 their variance and b + c what it is for independent photos. One
    discordant photo is added for which photos of a group are wholly alike, as nothing tells otherwise where there are
    no others. D is at least 1; it is 1 when every photo is its own group.
    """
    alike = float((pairs.sizes.astype(float) ** 2).sum()) / pairs.photos
    found = float((pairs.differences.astype(float) ** 2).sum()) + alike
    return pairs.photos / max(1.0, found / (float(pairs.b.sum() + pairs.c.sum()) + 1))


def score(lost: float, won: float, photos: float, margin: float) -> float:
    """Tango's statistic, standard normal where the true gain is -margin: large when the gain is above that.

    (c - b + n margin) / sqrt(n v), v the variance of a photo's gain by its likeliest value under that gain.
    """
    return (won - lost + photos * margin) / math.sqrt(photos * _variance(lost / photos, won / photos, margin))


def lower_bound(lost: float, won: float, photos: float, alpha: float) -> float:
    """The gain that the score test at `alpha` just does not reject from below: Tango's bound, at least -1."""
    gain, root, wanted = (won - lost) / photos, math.sqrt(photos), float(norm.isf(alpha))

    def excess(value: float) -> float:
        variance = _variance(lost / photos, won / photos, -value)
        return (gain - value) * root - wanted * math.sqrt(max(variance, 0.0))

    if excess(-1.0) <= 0:
        return -1.0
    return float(
        brentq(excess, -1.0, gain - _NO_STEP, xtol=1e-10)
    )  # without discordant photos it is 0 at the gain, too


def power(photos: float, discordant: float, margin: float, alpha: float) -> float:
    """Chance that `photos` independent photos show the same accuracy to be no worse by `margin`.

    `discordant` is the share of photos that exactly one model has right.
    """
    variance = _variance(discordant / 2, discordant / 2, margin)
    excess = margin * math.sqrt(photos) - float(norm.isf(alpha)) * math.sqrt(variance)
    return float(norm.cdf(excess / math.sqrt(discordant))) if discordant else float(excess > 0)


def needed_photos(discordant: float, margin: float, alpha: float, wanted_power: float) -> float:
    """The number of independent photos from which `power` reaches `wanted_power`, at least a half."""
    variance = _variance(discordant / 2, discordant / 2, margin)
    spread = float(norm.isf(alpha)) * math.sqrt(variance) + float(norm.ppf(wanted_power)) * math.sqrt(discordant)
    return (spread / margin) ** 2


def least_photos(margin: float, alpha: float) -> int:
    """Below so many photos not even a challenger that answers all of them alike is shown to be non-inferior."""
    return math.floor(needed_photos(0.0, margin, alpha, 0.5)) + 1


def _variance(lost: float, won: float, margin: float) -> float:
    """2 q - m - m^2, with q the likeliest chance that only the champion is right when the gain is -m.

    q solves 2 q^2 - (b (1 + m) + c (1 - m) + 2 m) q + b m (1 + m) = 0, b and c shares of photos; it is the larger root.
    """
    linear = lost * (1 + margin) + won * (1 - margin) + 2 * margin
    root = math.sqrt(max(linear**2 - 8 * lost * margin * (1 + margin), 0.0))
    return (linear + root) / 2 - margin - margin**2
