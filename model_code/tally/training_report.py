"""The training report: diagnosis, learning curves, time, machine, layers and settings on one page.

    write_training_report(Path("training.html"), json.loads(Path("training.json").read_text()))

A pure function of training.json: a page can be made anew wherever the record is.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tally import training_charts as charts
from tally.diagnosis import diagnose
from tally.html import write_report
from tally.watch.clock import PHASES

if TYPE_CHECKING:
    from tally.trials_report import TrialsView

_COLUMNS = (
    ("train_loss", "training loss"),
    ("validation_loss", "validation loss"),
    ("train_accuracy", "training accuracy"),
    ("validation_accuracy", "validation accuracy"),
    ("validation_macro_f1", "validation macro-F1"),
    ("validation_rmse", "validation RMSE"),
    ("photos_per_second", "photos a second"),
)


def write_training_report(file: Path, record: dict[str, Any], trials: "TrialsView | None" = None) -> None:
    """Render `record` (the content of training.json) to `file`.

    `trials` is what `trials.html` shows of the tuning job that chose the settings; without it the section is absent.
    """
    history, watch = record["history"], record.get("watch") or {}
    epochs = watch.get("epochs", [])
    found, ensemble = diagnose(record), record.get("ensemble")
    write_report(
        file,
        "training.html",
        record=record,
        best=history[record["best_epoch"]] if history and record["best_epoch"] >= 0 else None,
        diagnosis=found,
        verdict=_verdict(found.findings),
        watch=watch,
        curves=charts.learning_curves(record),
        time_charts=charts.time_split(epochs),
        machine_charts=charts.utilisation(watch.get("utilisation")),
        layer_charts=_drawn(
            charts.gradient_norms(epochs, record["settings"]["clip_norm"]),
            charts.layer_gradients(epochs),
            charts.layer_updates(watch),
            charts.idle_units(watch),
        ),
        columns=_COLUMNS,
        phases=_phase_table(epochs),
        unwatched=sorted({row["epoch"] for row in history} - {epoch["epoch"] for epoch in epochs}),
        ensemble=ensemble,
        seconds=sum(part["seconds"] for part in (ensemble["members"] if ensemble else history)),
        trials=trials,
    )


def _verdict(findings: Any) -> tuple[str, str]:
    """A sentence on all findings, and its colour."""
    problems = sum(finding.severity == "problem" for finding in findings)
    hints = len(findings) - problems
    told = [
        f"{number} {word}{'s' if number > 1 else ''}"
        for number, word in ((problems, "problem"), (hints, "hint"))
        if number
    ]
    if not told:
        return "Nothing wrong was found", "good"
    return f"{' and '.join(told)} found", "bad" if problems else "warn"


def _phase_table(epochs: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Phase, seconds over all epochs, share of all time."""
    sums = {name: sum(epoch["seconds"].get(name, 0.0) for epoch in epochs) for name in PHASES}
    total = sum(sums.values())
    shown = ((charts.PHASE_NAMES[name], value, value / total) for name, value in sums.items() if value)
    return [row for row in shown if row[2] > 0.0005]


def _drawn(*drawings: Markup | None) -> list[Markup]:
    return [drawing for drawing in drawings if drawing is not None]
