"""evaluation.html: the verdict and what it rests on, for people."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from tally.evaluation.document import Assessment, Evaluation
from tally.gate import Guard
from tally.html import chart, data_uri, write_report
from tally.labels import COUNTS
from tally.metrics import SCALARS

HARDEST = 24
_THUMBNAIL = 192
_TITLES = {
    "accuracy": "Accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "rmse": "RMSE (objects)",
    "mae": "MAE (objects)",
    "within_1": "Within 1 object",
    "quadratic_kappa": "Quadratic kappa",
    "ece": "Calibration error (ECE)",
}
_WORDS = {
    "promote": ("Promote", "good", "The challenger replaces the champion."),
    "reject": ("Reject", "bad", "The champion stays."),
    "underpowered": ("Underpowered", "warn", "The champion stays: this test set is too small to tell."),
}


def write_page(path: Path, evaluation: Evaluation) -> None:
    """Write the page to `path`."""
    word, tone, meaning = _WORDS[evaluation.verdict.verdict]
    models = list(evaluation.assessments.values())
    write_report(
        path,
        "evaluation.html",
        verdict=evaluation.verdict,
        word=word,
        tone=tone,
        meaning=meaning,
        champion_name=evaluation.champion_name,
        warnings=evaluation.warnings,
        models=models,
        metrics=[(title, [_with_interval(model, name) for model in models]) for name, title in _TITLES.items()],
        guards=[(guard, *_guard_texts(guard)) for guard in evaluation.verdict.guards],
        gain_chart=_gain_chart(evaluation),
        confusions=[_confusion_chart(model) for model in models if model.name != "majority"],
        per_class=list(
            zip(
                evaluation.assessments["challenger"].metrics.per_class,
                evaluation.assessments["champion"].metrics.per_class,
                strict=True,
            )
        ),
        hardest=_hardest(evaluation),
        test_sha256=evaluation.split.sha256,
        stored_side=evaluation.split.stored_side,
    )


def _with_interval(model: Assessment, name: str) -> tuple[str, str]:
    """The value and its interval as text; a metric that the model does not have is a dash."""
    value = getattr(model.metrics, name) if name in SCALARS else model.ece
    if value is None:
        return "–", ""
    found = model.intervals[name]
    return f"{value:.3f}", f"{found.low:.3f}\u2060–\u2060{found.high:.3f}"


def _guard_texts(guard: Guard) -> tuple[str, str, str, str]:
    """Title, champion, limit and challenger of one row."""
    if guard.name == "latency_ms":
        return (
            "Latency, one photo (ms)",
            f"{guard.champion:.1f}",
            f"≤\u00a0{guard.limit:g}",
            f"{guard.challenger:.1f}",
        )
    title = _TITLES.get(guard.name) or f"Recall of {guard.name.removeprefix('recall_')}"
    side = "≤" if guard.name == "rmse" else "≥"
    return title, f"{guard.champion:.3f}", f"{side}\u00a0{guard.limit:.3f}", f"{guard.challenger:.3f}"


def _gain_chart(evaluation: Evaluation) -> Markup:
    """The gain with its interval against no gain and against the smallest one this test set would show."""
    verdict = evaluation.verdict
    low, high = (100 * side for side in verdict.gain_interval)
    with chart("Gain in accuracy over the champion", "points of accuracy", "", width=4.6, height=1.6) as drawing:
        axes = drawing.axes
        axes.axvline(0, color="#5b6776", linewidth=1)
        axes.axvspan(0, 100 * verdict.smallest_detectable_gain, color="#9a6700", alpha=0.12, linewidth=0)
        axes.plot([low, high], [0, 0], color="#1c2430", linewidth=3, solid_capstyle="butt")
        axes.plot([100 * verdict.gain], [0], "o", color="#1c2430", markersize=8)
        reach = max(abs(low), abs(high), 1.0) * 1.15
        axes.set(xlim=(min(-reach / 4, low * 1.15), reach), ylim=(-1, 1), yticks=[])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
    return drawing.svg


def _confusion_chart(model: Assessment) -> Markup:
    """Confusion matrix as a heat map: colour is the share of the true count, the number is photos."""
    matrix = model.matrix
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ticks = np.arange(len(COUNTS))
    with chart(
        f"{model.name.capitalize()} ({model.model})", "predicted count", "true count", width=3.6, height=3.4
    ) as c:
        c.axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
        for row in ticks:
            for column in ticks:
                color = "white" if shares[row, column] > 0.55 else "#1c2430"
                c.axes.text(column + 0.5, row + 0.5, str(matrix[row, column]), ha="center", va="center", color=color)
        c.axes.set(xticks=ticks + 0.5, yticks=ticks + 0.5, xticklabels=COUNTS, yticklabels=COUNTS, aspect="equal")
        c.axes.invert_yaxis()
        c.axes.tick_params(length=0)
    return c.svg


def _hardest(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The photos whose true count the challenger finds least likely; ties in the order of ids."""
    new, old, true = evaluation.scored["challenger"], evaluation.scored["champion"], evaluation.truth.true
    likely = new.probabilities[np.arange(len(true)), true]
    return [
        {
            "photo": evaluation.split.photos[index],
            "picture": data_uri(_thumbnail(evaluation.split.jpeg(index))),
            "challenger": COUNTS[new.predicted[index]],
            "champion": COUNTS[old.predicted[index]],
            "likely": float(likely[index]),
        }
        for index in np.argsort(likely, kind="stable")[:HARDEST].tolist()
    ]


def _thumbnail(jpeg: bytes | memoryview) -> bytes:
    with Image.open(io.BytesIO(jpeg)) as image:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
    return out.getvalue()
