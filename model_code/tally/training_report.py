"""The training report: learning curves and settings on one page."""

from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from tally.html import chart, write_report

_CURVES = (
    ("Loss", "cross-entropy a photo", ("train_loss", "validation_loss")),
    ("Accuracy", "share of photos", ("train_accuracy", "validation_accuracy")),
    ("Macro-F1", "F1", ("train_macro_f1", "validation_macro_f1")),
    ("Root mean squared error", "objects", ("train_rmse", "validation_rmse")),
    ("Learning rate", "rate at the epoch's end", ("lr",)),
    ("Throughput", "photos a second", ("photos_per_second",)),
)


def write_training_report(file: Path, summary: dict[str, Any]) -> None:
    """Render `summary` (the content of training.json) to `file`."""
    history = summary["history"]
    epochs = [result["epoch"] for result in history]
    drawings = []
    for title, unit, names in _CURVES:
        with chart(title, "epoch", unit, width=4.6, height=2.8) as drawing:
            for name in names:
                label = name.partition("_")[0] if len(names) > 1 else None
                drawing.axes.plot(epochs, [result[name] for result in history], marker=".", label=label)
            drawing.axes.axvline(summary["best_epoch"], color="0.7", linestyle="--", linewidth=1)
            drawing.axes.set_ylim(0, 1.08 * max(result[name] for name in names for result in history) or 1)
            drawing.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(names) > 1:
                drawing.axes.legend()
        drawings.append(drawing.svg)
    write_report(
        file,
        "training.html",
        summary=summary,
        best=history[summary["best_epoch"]],
        drawings=drawings,
        seconds=sum(result["seconds"] for result in history),
    )
