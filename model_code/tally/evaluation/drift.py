"""Drift of a new delivery of photos against the last one that is in service, feature by feature.

The population stability index: sum over bins of (actual - expected) * ln(actual / expected), shares each; below 0.1 is
customarily stable, from 0.25 a large shift (N. Siddiqi, "Credit Risk Scorecards", 2006, ch. 10). With few photos it is
above 0 by chance alone: without drift it is distributed as (1/n + 1/m) chi-squared with bins - 1 degrees of freedom
(B. Yurdakul, "Statistical Properties of Population Stability Index", 2018). n and m are independent photos; photos of
one group are alike, so they are what the photos are worth at least (`tally.data.observations`). Only what exceeds the
percentile counts that 5% of comparisons without drift exceed in any of their features (Bonferroni).
Beside it the Jensen-Shannon distance (base 2, from 0 to 1; J. Lin 1991), which empty bins do not upset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2

from tally.data.profile import CATEGORIES, MEASURED, Profile

MODERATE, LARGE = 0.1, 0.25
"""Customary thresholds of the population stability index."""

STABLE, CHANCE, SOME, MUCH, UNKNOWN = "stable", "chance", "moderate", "large", "not comparable"
LEVELS = (UNKNOWN, STABLE, CHANCE, SOME, MUCH)
"""From the least to the most alarming. `chance`: the index is high, but so it would be without drift."""

_ERROR = 0.05
"""Chance that a comparison without drift shows any."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature. `labels` of the bins, photos in each before and after; indices are None where nothing compares."""

    name: str
    title: str
    labels: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    psi: float | None
    chance: float | None
    distance: float | None
    level: str
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for evaluation.json; the bins are in the models' data.json."""
        return {
            "name": self.name,
            "psi": _rounded(self.psi),
            "psi_by_chance": _rounded(self.chance),
            "jensen_shannon": _rounded(self.distance),
            "level": self.level,
            **({"reason": self.reason} if self.reason else {}),
        }


@dataclass(frozen=True)
class Comparison:
    """Two deliveries. `name`: which, `title`: in words; `before` and `after`: photos."""

    name: str
    title: str
    before: int
    after: int
    features: tuple[FeatureDrift, ...]

    @property
    def level(self) -> str:
        """The most alarming level of a feature."""
        return max((feature.level for feature in self.features), key=LEVELS.index, default=UNKNOWN)

    def drifted(self) -> list[FeatureDrift]:
        """Features with a moderate or large shift, the largest first."""
        found = [feature for feature in self.features if feature.level in (SOME, MUCH)]
        return sorted(found, key=lambda feature: -(feature.psi or 0))

    def as_dict(self) -> dict[str, Any]:
        """Plain data for evaluation.json."""
        return {
            "name": self.name,
            "photos_before": self.before,
            "photos_after": self.after,
            "level": self.level,
            "features": [feature.as_dict() for feature in self.features],
        }


def compare(name: str, title: str, before: Profile, after: Profile) -> Comparison:
    """Compare two profiles in every feature that both have."""
    features = [_category(key, text, before, after) for key, text in CATEGORIES.items()]
    features += [_measured(key, before, after) for key in MEASURED]
    return Comparison(name, title, before.photos, after.photos, tuple(features))


def _category(name: str, title: str, before: Profile, after: Profile) -> FeatureDrift:
    labels = sorted({*before.categories[name], *after.categories[name]})
    old, new = (tuple(profile.categories[name].get(label, 0) for label in labels) for profile in (before, after))
    return _drift(name, title, tuple(label or "(none)" for label in labels), old, new, _independent(before, after))


def _measured(name: str, before: Profile, after: Profile) -> FeatureDrift:
    feature = MEASURED[name]
    reason = ""
    if name not in before.measured or name not in after.measured:
        reason = "another version of Tally measured it differently"
    elif not before.known or not after.known:
        reason = "the photos were prepared by a version of Tally that did not measure it"
    elif feature.stored and before.stored_side != after.stored_side:
        reason = f"photos were stored with {before.stored_side} and {after.stored_side} pixels"
    if reason:
        empty = (0,) * len(feature.labels)
        return FeatureDrift(name, feature.title, feature.labels, empty, empty, None, None, None, UNKNOWN, reason)
    numbers = before.measured[name], after.measured[name]
    return _drift(name, feature.title, feature.labels, *numbers, _independent(before, after))


def _independent(before: Profile, after: Profile) -> tuple[float, float]:
    """What one photo of each is worth; 1 where groups are unknown."""
    old, new = (1.0 if profile.worth is None else profile.worth / max(profile.photos, 1) for profile in (before, after))
    return old, new


def _drift(
    name: str,
    title: str,
    labels: tuple[str, ...],
    before: Sequence[int],
    after: Sequence[int],
    independent: tuple[float, float],
) -> FeatureDrift:
    old, new = np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)
    bins = (labels, tuple(before), tuple(after))
    if not old.sum() or not new.sum():
        return FeatureDrift(name, title, *bins, None, None, None, UNKNOWN, "there are no photos to compare")
    psi = population_stability_index(old, new)
    chance = psi_by_chance(old, new, independent, len(CATEGORIES) + len(MEASURED))
    return FeatureDrift(name, title, *bins, psi, chance, jensen_shannon(old, new), _level(psi, chance))


def _level(psi: float, chance: float) -> str:
    if psi < MODERATE:
        return STABLE
    if psi <= chance:
        return CHANCE
    return SOME if psi < LARGE else MUCH


def population_stability_index(before: Counts, after: Counts) -> float:
    """The index of photos per bin, [bins] each, both with photos.

    Bins that are empty in both do not count. Where one is empty in one of them, the logarithm would be infinite: half a
    photo is added to every bin of both.
    """
    used = (before + after) > 0
    old, new = before[used].astype(np.float64), after[used].astype(np.float64)
    if (old == 0).any() or (new == 0).any():
        old, new = old + 0.5, new + 0.5
    expected, actual = old / old.sum(), new / new.sum()
    return float(((actual - expected) * np.log(actual / expected)).sum())


def psi_by_chance(
    before: Counts, after: Counts, independent: tuple[float, float] = (1.0, 1.0), features: int = 1
) -> float:
    """The index of photos per bin, [bins] each, that 5% of samples of these sizes exceed though nothing drifts.

    One photo before and one after are worth so many `independent` ones; the 5% are shared by so many `features`.
    """
    bins = int(((before + after) > 0).sum())
    if bins < 2:
        return 0.0
    n, m = before.sum() * independent[0], after.sum() * independent[1]
    return float(chi2.ppf(1 - _ERROR / features, bins - 1) * (1 / n + 1 / m))


def jensen_shannon(before: Counts, after: Counts) -> float:
    """Jensen-Shannon distance of photos per bin, [bins] each: 0 for equal shares, 1 for no bin in common."""
    return float(np.nan_to_num(jensenshannon(before, after, base=2)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def summary(comparisons: Mapping[str, Comparison]) -> list[str]:
    """A sentence for each comparison that shows a shift."""
    found = []
    for comparison in comparisons.values():
        shifts = ", ".join(
            f"{feature.title.lower()} (stability index {feature.psi:.2f})" for feature in comparison.drifted()
        )
        if shifts:
            found.append(f"{comparison.title}: the photos have changed in {shifts}; see drift.html")
    return found
