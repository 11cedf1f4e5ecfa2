"""The charts of the training report, from a training record; None or nothing where there is nothing to draw."""

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tally.html import chart
from tally.watch.clock import PHASES

_CURVES = (
    ("Loss", "loss a photo", ("train_loss", "validation_loss")),
    ("Accuracy", "share of photos", ("train_accuracy", "validation_accuracy")),
    ("Macro-F1", "F1", ("train_macro_f1", "validation_macro_f1")),
    ("Root mean squared error", "objects", ("train_rmse", "validation_rmse")),
    ("Learning rate", "rate at the epoch's end", ("lr",)),
    ("Throughput", "photos a second", ("photos_per_second",)),
)
PHASE_NAMES = {
    "data": "waiting for data",
    "copy": "copy to device",
    "forward": "forward",
    "backward": "backward",
    "all_reduce": "all-reduce",
    "optimiser": "optimiser",
    "watching": "watching",
    "validation": "validation",
    "checkpoint": "checkpoint",
    "other": "other",
}
_WIDTH, _HEIGHT = 4.6, 2.9
_SHOWN_EPOCHS = 4


def learning_curves(record: dict[str, Any]) -> list[Markup]:
    """Losses, metrics, rate and throughput by epoch."""
    history = record["history"]
    if not history:
        return []
    epochs = [row["epoch"] for row in history]
    drawings = []
    for title, unit, names in _CURVES:
        with chart(title, "epoch", unit, width=_WIDTH, height=_HEIGHT) as drawing:
            for name in names:
                label = {"train": "training", "validation": "validation"}.get(name.partition("_")[0])
                values = _numbers([row[name] for row in history])
                drawing.axes.plot(epochs, values, marker=".", label=label if len(names) > 1 else None)
            drawing.axes.axvline(record["best_epoch"], color="0.7", linestyle="--", linewidth=1)
            _whole(drawing.axes)
            known = [row[name] for name in names for row in history if row[name] is not None]
            drawing.axes.set_ylim(0, 1.08 * max(known, default=0) or 1)
            if len(names) > 1:
                drawing.axes.legend()
        drawings.append(drawing.svg)
    return drawings


def time_split(epochs: Sequence[dict[str, Any]]) -> list[Markup]:
    """Stacked bars: where each epoch's time went; and a step's, in milliseconds."""
    if not epochs:
        return []
    colours = dict(zip(PHASES, colormaps["tab10"](range(len(PHASES))), strict=True))
    numbers = [epoch["epoch"] for epoch in epochs]
    step_phases = [name for name in PHASES if name not in ("validation", "checkpoint", "watching")]
    drawings = []
    for title, unit, phases, by_step in (
        ("Where an epoch's time goes", "seconds", PHASES, False),
        ("Where a step's time goes", "milliseconds a step", step_phases, True),
    ):
        with chart(title, "epoch", unit, width=_WIDTH, height=3.6) as drawing:
            floor = [0.0] * len(epochs)
            for name in phases:
                parts = [
                    epoch["seconds"].get(name, 0.0) * (1000 / max(1, epoch["steps"]) if by_step else 1)
                    for epoch in epochs
                ]
                if max(parts) < 0.002 * max(floor[i] + parts[i] for i in range(len(parts))):
                    continue  # too thin to be seen; the table has it
                drawing.axes.bar(numbers, parts, bottom=floor, color=colours[name], label=PHASE_NAMES[name])
                floor = [a + b for a, b in zip(floor, parts, strict=True)]
            _whole(drawing.axes)
            drawing.axes.legend(ncols=2, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        drawings.append(drawing.svg)
    return drawings


def utilisation(usage: dict[str, Any] | None) -> list[Markup]:
    """CPUs, memory and GPUs over the time of the run."""
    if not usage or not usage["samples"]:
        return []
    columns = {name: [row[index] for row in usage["samples"]] for index, name in enumerate(usage["columns"])}
    scale, unit = (60, "minutes") if columns["seconds"][-1] > 300 else (1, "seconds")
    times = [seconds / scale for seconds in columns["seconds"]]
    drawings = []
    for title, label, name, limit in (
        ("CPUs in use", "CPUs", "cpus", usage["cpus"]),
        ("Memory in use", "GiB", "memory", usage["memory"]),
    ):
        with chart(title, f"{unit} since the start", label, width=_WIDTH, height=_HEIGHT) as drawing:
            drawing.axes.plot(times, columns[name], linewidth=1)
            drawing.axes.axhline(limit, color="0.6", linestyle="--", linewidth=1, label=f"there are {limit:.3g}")
            drawing.axes.set_ylim(0, 1.15 * max(limit, *columns[name]))
            drawing.axes.legend(loc="upper right")
        drawings.append(drawing.svg)
    if usage["gpus"]:
        with chart("GPUs", f"{unit} since the start", "percent", width=_WIDTH, height=_HEIGHT) as drawing:
            for name, label in (("gpu", "time busy"), ("gpu_memory", "memory in use")):
                if any(value is not None for value in columns[name]):
                    drawing.axes.plot(
                        times, [100 * value for value in _numbers(columns[name])], linewidth=1, label=label
                    )
            drawing.axes.set_ylim(0, 105)
            drawing.axes.legend()
        drawings.append(drawing.svg)
    return drawings


def gradient_norms(epochs: Sequence[dict[str, Any]], clip_norm: float) -> Markup | None:
    """Total norm before clipping: median and largest of each epoch."""
    known = [epoch for epoch in epochs if epoch["gradients"]["median"]]
    if not known:
        return None
    numbers = [epoch["epoch"] for epoch in known]
    with chart("Gradient norm of a step", "epoch", "2-norm before clipping", width=_WIDTH, height=_HEIGHT) as drawing:
        drawing.axes.semilogy(numbers, [epoch["gradients"]["median"] for epoch in known], marker=".", label="median")
        drawing.axes.semilogy(numbers, [epoch["gradients"]["largest"] for epoch in known], marker=".", label="largest")
        if clip_norm:
            drawing.axes.axhline(clip_norm, color="0.6", linestyle="--", linewidth=1, label=f"clip_norm {clip_norm:g}")
        _whole(drawing.axes)
        drawing.axes.legend()
    return drawing.svg


def layer_gradients(epochs: Sequence[dict[str, Any]]) -> Markup | None:
    """Gradient norm of each layer at the end of a few epochs."""
    seen = [epoch for epoch in epochs if epoch.get("health", {}).get("gradients")]
    if not seen:
        return None
    places = sorted({round(index * (len(seen) - 1) / (_SHOWN_EPOCHS - 1)) for index in range(_SHOWN_EPOCHS)})
    with chart("Gradients by layer", "layer, input to output", "2-norm", width=_WIDTH, height=_HEIGHT) as drawing:
        for number, place in enumerate(places):
            values = _positive(seen[place]["health"]["gradients"])
            colour = colormaps["viridis"](0.9 * number / max(1, len(places) - 1))
            label = f"epoch {seen[place]['epoch']}"
            drawing.axes.semilogy(range(len(values)), values, marker=".", linewidth=1, color=colour, label=label)
        _whole(drawing.axes)
        drawing.axes.legend(fontsize=7.5)
    return drawing.svg


def layer_updates(watch: dict[str, Any]) -> Markup | None:
    """How far one step moves the weights of each layer, at the end of the first, a middle and the last epoch."""
    seen = [(f"epoch {epoch['epoch']}", epoch["health"]) for epoch in watch.get("epochs", []) if "health" in epoch]
    seen = seen if len(seen) < 3 else [seen[0], seen[len(seen) // 2], seen[-1]]
    if not seen or not seen[0][1]["updates"]:
        return None
    with chart(
        "Step relative to weights, by layer", "layer, input to output", "norm of step / norm of weights",
        width=_WIDTH, height=_HEIGHT,
    ) as drawing:  # fmt: skip
        for label, health in seen:
            values = _positive(health["updates"])
            drawing.axes.semilogy(range(len(values)), values, marker=".", linewidth=1, label=label)
        drawing.axes.axhline(1e-3, color="0.6", linestyle="--", linewidth=1, label="rule of thumb")
        _whole(drawing.axes)
        drawing.axes.legend(fontsize=7.5)
    return drawing.svg


def idle_units(watch: dict[str, Any]) -> Markup | None:
    """Dead and saturated units of each activation at the end of the last epoch."""
    seen = [epoch["health"] for epoch in watch.get("epochs", []) if epoch.get("health", {}).get("dead")]
    if not seen:
        return None
    with chart(
        "Units that no longer react", "activation, input to output", "percent of units", width=_WIDTH, height=_HEIGHT
    ) as drawing:
        places = range(len(seen[-1]["dead"]))
        dead = [100 * share for share in _numbers(seen[-1]["dead"])]
        drawing.axes.bar(places, dead, label="dead: zero for a whole batch")
        saturated = [100 * share for share in _numbers(seen[-1]["saturated"])]
        drawing.axes.bar(places, saturated, bottom=dead, label="saturated")
        drawing.axes.set_ylim(0, 105)
        _whole(drawing.axes)
        drawing.axes.legend()
    return drawing.svg


def _whole(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _positive(values: Sequence[float | None]) -> list[float]:
    """What a logarithmic axis can show."""
    return [value or math.nan for value in values]
