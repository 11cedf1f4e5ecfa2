"""The search behind a tuning job: which values to try next, and which trials to end early.

Reproducible with parallel trials: before trial k is asked for, exactly trials 0..k-P (P = parallel trials) are told to
the study, whatever has ended by then. Early stopping sees the same past. Hyperband compares trials while they run, so
its parameters come from a seeded random sampler that looks at no results; only which trials it ends depends on timing.
"""

import statistics
import threading
from collections.abc import Mapping
from typing import Any

import optuna

from local.errors import StepError
from local.jobs.ranges import distributions

_STARTUP_TRIALS = 4  # random points before TPE has something to model
_PAST_TRIALS = 2  # the median of fewer curves says nothing


class Search:
    """Values for the trials of one HyperParameterTuningJobConfig."""

    def __init__(self, config: Mapping[str, Any], seed: int):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._maximize = config["HyperParameterTuningJobObjective"]["Type"] == "Maximize"
        self._distributions = distributions(config["ParameterRanges"])
        self._hyperband = config["Strategy"] == "Hyperband"
        self._early = config.get("TrainingJobEarlyStoppingType", "Off") == "Auto"
        self._study = optuna.create_study(
            direction="maximize" if self._maximize else "minimize",
            sampler=_sampler(config["Strategy"], seed),
            pruner=_hyperband(config) if self._hyperband else optuna.pruners.NopPruner(),
        )
        self._trials: list[optuna.Trial] = []
        self._curves: dict[int, list[float]] = {}
        self._told: list[int] = []
        self._past: dict[int, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Return the next trial's number (from 0) and its values."""
        with self._lock:
            trial = self._study.ask(self._distributions)
            number = len(self._trials)
            self._trials.append(trial)
            self._curves[number] = []
            self._past[number] = tuple(self._told)
            return number, dict(trial.params)

    def report(self, number: int, value: float) -> bool:
        """Note a trial's next objective value; return True when the trial should end early."""
        with self._lock:
            curve = self._curves[number]
            curve.append(value)
            if self._hyperband:
                self._trials[number].report(value, len(curve))
                return self._trials[number].should_prune()
            return self._early and self._below_median(number, curve)

    def tell(self, number: int, value: float | None) -> None:
        """Give a trial's result to the study; None when it failed. Call in the order of the numbers."""
        with self._lock:
            if value is None:
                self._study.tell(self._trials[number], state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(self._trials[number], value)
                self._told.append(number)

    def _below_median(self, number: int, curve: list[float]) -> bool:
        """SageMaker's rule: worse than the median of earlier trials' running averages up to the same epoch
        ("How Early Stopping Works", SageMaker developer guide)."""
        step = len(curve)
        averages = [statistics.fmean(c[:step]) for n in self._past[number] if len(c := self._curves[n]) >= step]
        if len(averages) < _PAST_TRIALS:
            return False
        median = statistics.median(averages)
        return curve[-1] < median if self._maximize else curve[-1] > median


def _sampler(strategy: str, seed: int) -> optuna.samplers.BaseSampler:
    if strategy == "Bayesian":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
    if strategy in ("Random", "Hyperband"):
        return optuna.samplers.RandomSampler(seed=seed)
    raise StepError(f"tuning strategy {strategy} is not emulated; use Bayesian, Random or Hyperband")


def _hyperband(config: Mapping[str, Any]) -> optuna.pruners.HyperbandPruner:
    limits = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    least = limits.get("MinResource", 1)
    return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=limits.get("MaxResource", "auto"))
