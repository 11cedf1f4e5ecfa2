"""Which hyperparameters mattered to the outcome of a search, and how little a few trials can say about it.

Functional ANOVA (Hutter, Hoos, Leyton-Brown 2014): a forest is fitted to (settings -> objective), and each
hyperparameter's share of the variance it predicts is its importance. Of optuna's evaluators it is the one that works on
a dozen trials: on made-up objectives that depend on one of five hyperparameters it put that one first in 98% (a rate)
and 100% (a choice) of searches with 12 trials, PED-ANOVA in 93% and 57%.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.trials import Trial

FEWEST_TRIALS = 6
_TREES = 16
_LOG_RATIO = 10.0  # a positive range that spans this much is looked at by its logarithm
_MOST_CHOICES = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """One hyperparameter's share of the variance that settings explain; all shares add up to 1.

    `low` to `high` holds 90% of the shares found when trials are drawn anew with replacement; `chance` is the share
    that 95% of searches stay below when objectives are dealt to the trials at random, which is what nothing looks like.
    """

    name: str
    share: float
    low: float
    high: float
    chance: float

    @property
    def stands_out(self) -> bool:
        """Whether it is more than chance gives."""
        return self.share > self.chance


def varied(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Hyperparameters that differ between trials: those that were searched, in the order of the settings."""
    if not trials:
        return ()
    return tuple(name for name in trials[0].settings if len({repr(trial.settings.get(name)) for trial in trials}) > 1)


def is_choice(values: Sequence[Any]) -> bool:
    """Whether values are a few of a list rather than points of a range."""
    distinct = len(set(values))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return not numbers or (distinct <= _MOST_CHOICES and distinct < len(values))


def is_logarithmic(values: Sequence[float]) -> bool:
    """Whether a range is looked at by its logarithm."""
    return min(values) > 0 and max(values) / min(values) >= _LOG_RATIO


def importances(trials: Sequence[Trial], seed: int = 0, rounds: int = 40) -> list[Importance]:
    """Return what mattered, most important first; empty when fewer than FEWEST_TRIALS, or all are equally good.

    Only trials with an objective count. Objectives are dealt anew `rounds` times and trials drawn anew half as often;
    40 take some 5 seconds. The same arguments give the same result.
    """
    judged = [trial for trial in trials if trial.objective is not None]
    names = varied(judged)
    objectives = np.array([trial.objective for trial in judged], dtype=np.float64)
    if len(judged) < FEWEST_TRIALS or not names or np.ptp(objectives) == 0:
        return []
    search = _Search(judged, names)
    everything = np.arange(len(judged))
    shares = search.shares(everything, objectives)
    generator = np.random.default_rng(seed)
    drawn = [search.shares(rows, objectives[rows]) for rows in _resamples(generator, objectives, rounds // 2)]
    dealt = [search.shares(everything, generator.permutation(objectives)) for _ in range(rounds)]
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    chance = np.quantile(dealt, 0.95, axis=0)
    found = [Importance(*row) for row in zip(names, *(a.tolist() for a in (shares, low, high, chance)), strict=True)]
    return sorted(found, key=lambda item: -item.share)


def _resamples(generator: np.random.Generator, objectives: Floats, draws: int) -> list[npt.NDArray[np.int64]]:
    """Rows drawn with replacement; a draw of equally good trials says nothing and is drawn again."""
    found: list[npt.NDArray[np.int64]] = []
    while len(found) < draws:
        rows = generator.integers(0, len(objectives), len(objectives))
        if np.ptp(objectives[rows]):
            found.append(rows)
    return found


class _Search:
    """A study of optuna, rebuilt from trials."""

    def __init__(self, trials: Sequence[Trial], names: tuple[str, ...]) -> None:
        import optuna  # a second, and only the Train job's report needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._names = optuna, names
        self._distributions = {name: self._distribution([trial.settings[name] for trial in trials]) for name in names}
        self._settings = [{name: trial.settings[name] for name in names} for trial in trials]

    def shares(self, rows: npt.NDArray[np.int64], objectives: Floats) -> Floats:
        """Importances in the order of the names, of the trials `rows` with these objectives."""
        optuna = self._optuna
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(params=self._settings[row], distributions=self._distributions, value=value)
                for row, value in zip(rows.tolist(), objectives.tolist(), strict=True)
            ]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own deprecations
            found = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
            )
        return np.array([found[name] for name in self._names], dtype=np.float64)

    def _distribution(self, values: Sequence[Any]) -> Any:
        if is_choice(values):
            return self._optuna.distributions.CategoricalDistribution(sorted(set(values)))
        low, high = float(min(values)), float(max(values))
        return self._optuna.distributions.FloatDistribution(low, high, log=is_logarithmic(values))
