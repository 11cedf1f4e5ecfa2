"""The verdict, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tally.gate import power
from tally.gate.guards import Guard, check_guards
from tally.gate.mcnemar import Evidence, mcnemar
from tally.gate.pairs import Pairs
from tally.gate.settings import GateSettings
from tally.labels import COUNTS
from tally.metrics import confusion_matrix, confusion_metrics

Word = Literal["promote", "reject", "underpowered"]
_NO_GAIN = 1e-12  # a sum of weights that is 0 may be this far off


@dataclass(frozen=True)
class Verdict:
    """The gate's answer with all it rests on; `evaluation.json` holds it as `gate`.

    `both`, `b`, `c` and `neither` are photos. `weighting` says what weighs the same in gains, interval, power and p;
    `discordance` is the share that exactly one model has right, weighed like these.
    `reason` uses only characters that a model package's metadata may hold. `power` is the chance that this test set
    shows a true gain of `gain_that_matters`; `smallest_detectable_gain` is the one it shows with `wanted_power`.
    """

    verdict: Word
    reason: str
    weighting: str
    test: str
    statistic: float
    both: int
    b: int
    c: int
    neither: int
    n: int
    groups: int
    effective_photos: float
    discordance: float
    p_value: float
    mid_p: float
    alpha: float
    gain: float
    group_gain: float
    gain_interval: tuple[float, float]
    gain_that_matters: float
    power: float
    wanted_power: float
    smallest_detectable_gain: float
    guards: tuple[Guard, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self) | {"gain_interval": list(self.gain_interval), "guards": [asdict(g) for g in self.guards]}

    def summary(self, **more: str) -> dict[str, str]:
        """Return what a model package carries along: strings of at most 256 characters, `more` added."""
        low, high = self.gain_interval
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "test": self.test,
            "p_value": f"{self.p_value:.6g}",
            "alpha": f"{self.alpha:g}",
            "gain": f"{self.gain:.6g}",
            "gain_interval": f"{low:.4f} to {high:.4f}",
            "photos": str(self.n),
            "groups": str(self.groups),
            **more,
        }


def decide(
    true: npt.ArrayLike,
    champion: npt.ArrayLike,
    challenger: npt.ArrayLike,
    groups: Sequence[str],
    *,
    latency_ms: tuple[float, float],
    settings: GateSettings,
) -> Verdict:
    """Judge the challenger: class indices [n] of the truth and both models, a group name a photo.

    `latency_ms` is (champion, challenger). The verdict is the first that applies:

    1. a guard rail is broken                                      -> reject
    2. the gain is 0 or less                                       -> reject
    3. p < alpha                                                   -> promote
    4. power to see `gain_that_matters` is at least `wanted_power` -> reject: a gain worth having would have shown
    5. otherwise                                                   -> underpowered: more test photos could say

    `settings.weighting` says whether photos weigh the same in gain, interval, power and test, or counts (ADR 26);
    `group_gain`, the mean of the groups' gains, is told and decides nothing. TallyError for unequal or empty inputs.
    """
    table = Pairs.of(true, champion, challenger, groups)
    weighed = settings.weighting == "counts"
    pairs = Pairs.of(true, champion, challenger, groups, weighed=True) if weighed else table
    old, new = (confusion_metrics(confusion_matrix(true, answers)) for answers in (champion, challenger))
    falls = _by_count(true, champion, challenger, groups)
    guards = check_guards(old, new, falls, latency_ms, settings)
    test = mcnemar(pairs)
    photos, share = power.effective_photos(pairs), power.discordance(pairs)
    chance = power.power(settings.gain_that_matters, photos, share, settings.alpha)
    smallest = power.smallest_detectable_gain(photos, share, settings.alpha, settings.wanted_power)
    word, reason = _judge(pairs, guards, test, chance, smallest, settings)
    return Verdict(
        verdict=word,
        reason=reason,
        weighting=settings.weighting,
        test=test.name,
        statistic=test.statistic,
        both=int(table.both.sum()),
        b=int(table.b.sum()),
        c=int(table.c.sum()),
        neither=int(table.neither.sum()),
        n=pairs.photos,
        groups=pairs.groups,
        effective_photos=photos,
        discordance=share,
        p_value=test.p_value,
        mid_p=test.mid_p,
        alpha=settings.alpha,
        gain=pairs.gain,
        group_gain=pairs.group_gain,
        gain_interval=power.gain_interval(pairs, settings.alpha),
        gain_that_matters=settings.gain_that_matters,
        power=chance,
        wanted_power=settings.wanted_power,
        smallest_detectable_gain=smallest,
        guards=guards,
    )


def _by_count(
    true: npt.ArrayLike, champion: npt.ArrayLike, challenger: npt.ArrayLike, groups: Sequence[str]
) -> dict[int, float]:
    """The paired test's p on the photos of each count that has any."""
    truth, old, new, names = (np.asarray(values) for values in (true, champion, challenger, groups))
    found = {}
    for index in np.unique(truth):
        mine = truth == index
        found[COUNTS[index]] = mcnemar(Pairs.of(truth[mine], old[mine], new[mine], names[mine].tolist())).p_value
    return found


def _judge(
    pairs: Pairs, guards: tuple[Guard, ...], test: Evidence, chance: float, smallest: float, settings: GateSettings
) -> tuple[Word, str]:
    broken = [guard for guard in guards if not guard.holds]
    if broken:
        named = " and ".join(f"{g.name} {g.challenger:.3f} against limit {g.limit:.3f}" for g in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        return "reject", f"Guard rail broken: {named}{more}."
    if abs(pairs.gain) < _NO_GAIN:
        return "reject", f"{_even(pairs)}: the challenger is no better than the champion."
    if pairs.gain < 0:
        return "reject", f"{_gained(pairs)} than the champion."
    gained = f"{_gained(pairs)} - {100 * pairs.gain:.1f} points"
    if test.p_value < settings.alpha:
        return "promote", f"{gained} - p = {_digits(test.p_value)} is below alpha {settings.alpha:g} and guards hold."
    likely = f"p = {_digits(test.p_value)} is not below alpha {settings.alpha:g}"
    if chance >= settings.wanted_power:
        worth = f"a gain of {100 * settings.gain_that_matters:g} points would have shown with power {chance:.2f}"
        return "reject", f"{gained} - but {likely} although {worth}."
    return (
        "underpowered",
        f"{gained} - but {likely} and this test set shows only gains from {100 * smallest:.1f} points.",
    )


def _even(pairs: Pairs) -> str:
    if not pairs.b.any() and not pairs.c.any():
        return "No photo is counted differently right or wrong"
    return (
        "With every count weighing alike both are right equally often"
        if pairs.weighed
        else f"Each is right alone on {pairs.b.sum()} photos"
    )


def _gained(pairs: Pairs) -> str:
    """How much more or less the challenger is right; `than the champion` may follow."""
    more = pairs.gain > 0
    if pairs.weighed:
        often = "more often" if more else "less often"
        return f"With every count weighing alike the challenger is right {often} on {pairs.photos} photos"
    difference = abs(int(pairs.differences.sum()))
    return f"The challenger is right on {difference} {'more' if more else 'fewer'} of {pairs.photos} photos"


def _digits(p_value: float) -> str:
    return f"{p_value:.1e}" if p_value < 0.001 else f"{p_value:.3f}"
