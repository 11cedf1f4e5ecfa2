"""What a more accurate challenger must not break."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tally.gate.settings import GateSettings
from tally.metrics import Metrics

_SLACK = 1e-9
"""A value that is exactly on its limit in decimal must not fail in binary."""


@dataclass(frozen=True)
class Guard:
    """`limit` is in the metric's own unit: the least the challenger may score, or for errors and latency the most.

    `p_value`, of recalls only, is that of the paired test on the photos of this count: beyond its limit the guard still
    holds while chance explains the fall.
    """

    name: str
    champion: float
    challenger: float
    limit: float
    holds: bool
    p_value: float | None = None


def check_guards(
    champion: Metrics,
    challenger: Metrics,
    p_values: Mapping[int, float],
    latency_ms: tuple[float, float],
    settings: GateSettings,
) -> tuple[Guard, ...]:
    """Compare two models' metrics and (champion, challenger) latency; a value that is not a number breaks its guard.

    `p_values` has every count with photos, and the paired test's p on those. Recall is guarded for these counts alone:
    without photos there is nothing to lose. It is broken by a fall of more than `max_recall_drop` with p < alpha: a
    count may have few photos, and then falls that large come by chance (ADR 20).
    """
    recalls = [
        _explained(
            _at_least(f"recall_{old.count}", old.recall, new.recall, settings.max_recall_drop),
            p_values[old.count],
            settings.alpha,
        )
        for old, new in zip(champion.per_class, challenger.per_class, strict=True)
        if old.count in p_values
    ]
    return (
        _at_least("macro_f1", champion.macro_f1, challenger.macro_f1, settings.max_macro_f1_drop),
        *recalls,
        _at_most("rmse", champion.rmse, challenger.rmse, champion.rmse + settings.max_rmse_increase),
        _at_most("latency_ms", *latency_ms, settings.latency_budget_ms),
    )


def _at_least(name: str, champion: float, challenger: float, drop: float) -> Guard:
    limit = max(champion - drop, 0.0)  # in this order a champion that is not a number breaks the guard
    return Guard(name, champion, challenger, limit, holds=challenger >= limit - _SLACK)


def _explained(recall: Guard, p_value: float, alpha: float) -> Guard:
    known = math.isfinite(recall.champion) and math.isfinite(recall.challenger)
    return replace(recall, holds=recall.holds or (known and p_value >= alpha), p_value=p_value)


def _at_most(name: str, champion: float, challenger: float, limit: float) -> Guard:
    return Guard(name, champion, challenger, limit, holds=challenger <= limit + _SLACK)
