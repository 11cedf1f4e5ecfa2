"""What a more accurate challenger must not break."""

from dataclasses import dataclass

from tally.gate.settings import GateSettings
from tally.metrics import Metrics

_SLACK = 1e-9
"""A value that is exactly on its limit in decimal must not fail in binary."""


@dataclass(frozen=True)
class Guard:
    """`limit` is in the metric's own unit: the least the challenger may score, or for errors and latency the most."""

    name: str
    champion: float
    challenger: float
    limit: float
    holds: bool


def check_guards(
    champion: Metrics, challenger: Metrics, latency_ms: tuple[float, float], settings: GateSettings
) -> tuple[Guard, ...]:
    """Compare two models' metrics and (champion, challenger) latency; a value that is not a number breaks its guard.

    Recall is guarded for every count that has photos; without photos there is nothing to lose.
    """
    recalls = [
        _at_least(f"recall_{old.count}", old.recall, new.recall, settings.max_recall_drop)
        for old, new in zip(champion.per_class, challenger.per_class, strict=True)
        if old.photos
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


def _at_most(name: str, champion: float, challenger: float, limit: float) -> Guard:
    return Guard(name, champion, challenger, limit, holds=challenger <= limit + _SLACK)
