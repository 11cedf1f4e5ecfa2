"""Results as Markdown tables that also read well in a terminal: printed, and kept for the documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import machine
from benchmarks.recipes_curve import PUBLIC_PHOTOS, USABLE_PHOTOS
from benchmarks.recipes_figures import COUNTS

_FIGURES = {
    "balanced_accuracy": "accuracy, class-balanced",
    "macro_f1": "macro-F1",
    "rmse_argmax": "RMSE by the most probable count",
    "rmse_median": "RMSE by the median",
    "rmse_mean": "RMSE by the mean",
    "within_1_argmax": "within 1 by the most probable count",
    "within_1_median": "within 1 by the median",
    **{f"recall_{count}": f"recall of {count}" for count in COUNTS},
    "accuracy": "accuracy, photos as they come",
    "ece": "ECE, photos as they come",
    "validation_ece": "ECE on validation",
    "seconds": "training, s",
}
_SHORT = ("balanced_accuracy", "macro_f1", "rmse_argmax", "within_1_argmax", "accuracy")
_ON = {
    "test": "Judged on the test split.",
    "validation": "For development: judged on the validation split; epochs and calibration were chosen on a part of "
    "train.",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first to the left, the others to the right."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * (width - 1) + ":") if place else "-" * width for place, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])


def comparison(result: Mapping[str, Any]) -> str:
    """The page of `recipes_compare.compare`."""
    parts = [_heading(result, "The default recipe against the plain fine-tune of the published projects")]
    for name, title in (("default", "Default recipe"), ("plain", "Plain fine-tune")):
        trainings = result["plain_seeds"] if name == "plain" else len(result["seeds"])
        models = [row["models"][name] for row in result["seeds"][:trainings]]
        parts += [f"{title}: {_trained(models)}", _seeds(models, result["over_seeds"][name])]
    parts += [
        "Baselines, class-balanced but for the last column; the last three see no photo:",
        table(
            ("", *(_FIGURES[name] for name in _SHORT)),
            [
                (name, *(_figure(figure, figures[figure]) for figure in _SHORT))
                for name, figures in result["baselines"].items()
            ],
        ),
        "The gate, every count weighing alike and recalls unguarded; champion is the plain fine-tune, challenger the "
        "default recipe:",
        _gates(result["seeds"]),
        "\n".join(f"- seed {row['seed']}: {row['gate']['reason']}" for row in result["seeds"]),
        *_fewer(len(result["seeds"]), result["plain_seeds"]),
        "Tune would choose in the pipeline, and the trainer's own defaults chose here: "
        f"{', '.join(result['left_to_the_trainer'])}.",
        "What must hold (mean ± standard deviation over the seeds, smallest to largest):",
        table(
            ("what", "demanded", "found", "holds"),
            [(c["name"], c["demand"], c["found"], "yes" if c["holds"] else "NO") for c in result["claims"]],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def control(result: Mapping[str, Any]) -> str:
    """The page of `recipes_shuffled.control`."""
    rows = []
    for row in result["seeds"]:
        low, high = row["interval"]
        found = row["figures"]["balanced_accuracy"]
        rows.append(
            (
                str(row["seed"]),
                f"{found:.3f} ({low:.3f} to {high:.3f})",
                "yes" if row["at_chance"] else "NO",
                f"{row['baseline_balanced_accuracy']:.3f}",
                row["gate"]["verdict"],
                f"{row['gate']['p_value']:.2g}",
                "yes" if row["refused"] else "NO",
            )
        )
    head = ("seed", "class-balanced accuracy (95%)", "chance (0.200)", "baseline", "verdict", "p", "refused")
    low, high = result["mean_interval"]
    parts = [
        _heading(result, "Control: the default recipe trained on permuted labels"),
        table(head, rows),
        f"Class-balanced accuracy in the mean {result['mean']:.3f} ({low:.3f} to {high:.3f}), chance is 0.200: "
        f"{'at chance' if result['at_chance'] else 'NOT at chance'}. "
        f"The gate {'refuses every seed' if result['refused'] else 'does NOT refuse every seed'}.",
    ]
    return "\n\n".join(parts) + "\n"


def curve(result: Mapping[str, Any]) -> str:
    """The page of `recipes_curve.learning_curve`."""
    names = list(result["fits"])
    rows = [
        (
            f"{row['share']:.0%}",
            str(row["photos"]),
            str(row["seed"]),
            str(row["epochs"]),
            *(_interval(row["points"][name]) for name in names),
        )
        for row in sorted(result["points"], key=lambda row: (row["share"], row["seed"]))
    ]
    head = ("share", "photos", "seed", "epochs", *(f"{name} (95%)" for name in names))
    parts = [_heading(result, "Learning curve of the default recipe"), table(head, rows)]
    for name, fit in result["fits"].items():
        if "none" in fit:
            parts.append(f"No estimate of {name}: {fit['none']}.")
            continue
        deviation = fit["covariance"][1][1] ** 0.5
        parts.append(
            f"Power law of 1 - {name}: photos to the power of -{fit['exponent']:.3f} ± {deviation:.3f}. "
            f"Estimate for the {PUBLIC_PHOTOS:,} photos of the public data set, some {USABLE_PHOTOS:,} of them with 1 "
            f"to 5 objects, {result['estimate_at']:,} of those to train on: {_interval(fit['estimate'])}."
        )
    parts.append(
        "The estimate is an extrapolation far beyond the last point. It knows of no label noise, which ends a power "
        "law: published results on as many photos lie at 0.525 to 0.53."
    )
    return "\n\n".join(parts) + "\n"


def _heading(result: Mapping[str, Any], title: str) -> str:
    photos = result["photos"]
    judged = "test on" if result["split"] == "test" else "judge on"
    return (
        f"### {title}\n\n{machine.line(result['machine'])}; code {result['code']}. "
        f"{photos['train']} photos to train on, {photos['validation']} to choose on, {photos['test']} to {judged}. "
        f"{_ON[result['split']]}"
    )


def _fewer(seeds: int, plain_seeds: int) -> list[str]:
    if plain_seeds == seeds:
        return []
    return [
        f"Seeds of the default recipe: {seeds}, of the plain fine-tune: {plain_seeds}. So each plain model meets "
        "several, and the deviation of a gain has less of the plain recipe's chance in it."
    ]


def _trained(models: Sequence[Mapping[str, Any]]) -> str:
    epochs = ", ".join(f"{model['epochs']} (best {model['best_epoch'] + 1})" for model in models)
    settings = models[0]["settings"]
    named = (
        "backbone",
        "image_size",
        "stretch",
        "freeze",
        "batch_size",
        "lr",
        "schedule",
        "weight_decay",
        "sam",
        "dropout",
        "sampling",
        "softening",
        "mixup",
        "ema",
        "members",
    )
    return f"epochs {epochs}; " + ", ".join(f"{name} {settings[name]}" for name in named if name in settings)


def _seeds(models: Sequence[Mapping[str, Any]], over: Mapping[str, Mapping[str, float]]) -> str:
    head = ("", *(f"seed {seed}" for seed in range(len(models))), "mean ± deviation", "range")
    rows = []
    for name, label in _FIGURES.items():
        own, spread = [_figure(name, model["figures"][name]) for model in models], over[name]
        middle = f"{_figure(name, spread['mean'])} ± {_figure(name, spread['deviation'])}"
        rows.append((label, *own, middle, f"{_figure(name, spread['low'])} to {_figure(name, spread['high'])}"))
    return table(head, rows)


def _gates(seeds: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for row in seeds:
        gate = row["gate"]
        low, high = gate["gain_interval"]
        gain = f"{100 * gate['gain']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        default, plain = (row["models"][name]["figures"]["accuracy"] for name in ("default", "plain"))
        as_they_come = f"{100 * (default - plain):+.1f}"
        rows.append((str(row["seed"]), gate["verdict"], gain, f"{gate['p_value']:.2g}", gate["test"], as_they_come))
    return table(("seed", "verdict", "gain in points (95%)", "p", "test", "gain, photos as they come"), rows)


def _figure(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "seconds" else f"{value:.3f}"


def _interval(point: Sequence[float]) -> str:
    found, low, high = point
    return f"{found:.3f} ({low:.3f} to {high:.3f})"
