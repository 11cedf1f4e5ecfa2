"""The search in the training report: a table of its trials, how far it came, and what its hyperparameters did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from tally.html import chart
from tally.importance import FEWEST_TRIALS, Importance, importances, is_choice, is_logarithmic, varied
from tally.trials import COMPLETED, Trial, Trials

_OBJECTIVE = "validation accuracy"
_AXIS = f"{_OBJECTIVE}, share"
_INK, _SOFT, _WARN = "#1c2430", "#5b6776", "#9a6700"
_SIZE = {"width": 4.6, "height": 2.8}  # as the other charts of the report: two beside each other, one on a phone


@dataclass(frozen=True)
class TrialsView:
    """What `templates/trials.html` shows. `rows` are texts as in `columns`; `unread`: archives that were lost."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    judged: int
    cut_short: int
    unread: tuple[str, ...]
    progress: Markup | None
    scatters: tuple[Markup, ...]
    importances: tuple[Importance, ...]
    importance_chart: Markup | None
    fewest: int = FEWEST_TRIALS

    @property
    def standing_out(self) -> tuple[str, ...]:
        """Hyperparameters with more importance than chance gives."""
        return tuple(item.name for item in self.importances if item.stands_out)


def view_trials(trials: Trials, rounds: int = 40) -> TrialsView | None:
    """Make tables and charts of the trials; None when there are none. `rounds` as in `importances`."""
    if not trials.found and not trials.unread:
        return None
    names = varied(trials.found)
    judged = [trial for trial in trials.found if trial.objective is not None]
    found = importances(judged, rounds=rounds)
    return TrialsView(
        columns=("trial", _OBJECTIVE, "ended", "epochs", "minutes", *names),
        rows=tuple(_row(place, trial, names) for place, trial in enumerate(trials.found, 1)),
        judged=len(judged),
        cut_short=sum(trial.ended != COMPLETED for trial in judged),
        unread=trials.unread,
        progress=_progress(judged) if len(judged) > 1 else None,
        scatters=tuple(_scatter(judged, name) for name in names) if len(judged) > 1 else (),
        importances=tuple(found),
        importance_chart=_importance_chart(found, len(judged)) if found else None,
    )


def _row(place: int, trial: Trial, names: Sequence[str]) -> tuple[str, ...]:
    return (
        str(place),
        "–" if trial.objective is None else f"{trial.objective:.4f}",
        trial.ended,
        str(trial.epochs),
        f"{trial.seconds / 60:.1f}",
        *(_short(trial.settings.get(name)) for name in names),
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _progress(trials: Sequence[Trial]) -> Markup:
    """Objectives in the order in which trials ended, and the best until then: flat at its end, enough were tried."""
    ordered = sorted(trials, key=lambda trial: (trial.wrote, trial.job))
    objectives = [trial.objective or 0.0 for trial in ordered]
    best = [max(objectives[: place + 1]) for place in range(len(objectives))]
    with chart("The search", "trials that have ended", _AXIS, **_SIZE) as drawing:
        places = range(1, len(ordered) + 1)
        drawing.axes.step(places, best, where="post", color=_INK, label="best so far")
        _points(drawing.axes, list(places), ordered)
        drawing.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.axes.legend(fontsize=8, loc="lower right")
    return drawing.svg


def _scatter(trials: Sequence[Trial], name: str) -> Markup:
    """One hyperparameter against the objective: a range as it was searched, choices side by side."""
    values: list[Any] = [trial.settings.get(name) for trial in trials]
    with chart(name, f"{name} of the trial", _AXIS, **_SIZE) as drawing:
        if is_choice(values):
            choices = sorted(set(values), key=lambda value: (str(type(value)), value))
            _points(drawing.axes, [choices.index(value) for value in values], trials)
            drawing.axes.set_xticks(range(len(choices)), [_short(value) for value in choices])
            drawing.axes.set_xlim(-0.5, len(choices) - 0.5)
        else:
            _points(drawing.axes, values, trials)
            if is_logarithmic(values):
                drawing.axes.set_xscale("log")
        drawing.axes.legend(fontsize=8)
    return drawing.svg


def _points(axes: Any, places: Sequence[float], trials: Sequence[Trial]) -> None:
    """Trials that completed as dots, those cut short as crosses: their objective might have risen further."""
    for whole, marker, colour, label in ((True, "o", _SOFT, "completed"), (False, "x", _WARN, "cut short")):
        chosen = [
            (place, trial.objective)
            for place, trial in zip(places, trials, strict=True)
            if (trial.ended == COMPLETED) is whole
        ]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), marker, color=colour, label=label, markersize=5)


def _importance_chart(found: Sequence[Importance], trials: int) -> Markup:
    shown = list(reversed(found))
    places = range(len(shown))
    title = f"Importance, from {trials} trials"
    with chart(title, "share of the explained variance", "", width=6.0, height=1.1 + 0.36 * len(shown)) as drawing:
        axes = drawing.axes
        colours = ["#7d8fa6" if item.stands_out else "#d9dfe7" for item in shown]
        axes.barh(places, [item.share for item in shown], color=colours, height=0.55)
        axes.hlines(
            places, [item.low for item in shown], [item.high for item in shown], color=_WARN, label="90% of redraws"
        )
        axes.plot([item.chance for item in shown], places, "|", color="#b3261e", markersize=14, label="chance, 95%")
        axes.set_yticks(places, [item.name for item in shown])
        axes.set_xlim(0, 1)
        axes.legend(fontsize=8, loc="lower right")
    return drawing.svg
