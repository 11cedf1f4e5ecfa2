"""evaluation.html: the verdict and what it rests on, for people."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tally.decoding import DECODINGS, FIGURES
from tally.evaluation import charts, confidence_charts
from tally.evaluation.assessment import Assessment, Study
from tally.evaluation.automation import TARGETS
from tally.evaluation.bootstrap import Interval
from tally.evaluation.document import Evaluation, group_table
from tally.evaluation.orders import DECISIONS, FAIL_PROBABILITY, PASS_PROBABILITY, SITUATIONS
from tally.gate import Guard
from tally.html import data_uri, write_report
from tally.labels import COUNTS
from tally.metrics import SCALARS

HARDEST = 24
SOURCE_ROWS = 30
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
_BALANCED = ("accuracy", "macro_precision", "macro_f1", "rmse", "mae", "within_1")
"""Class-balanced rows; class-balanced accuracy is macro recall, which therefore has no row of its own."""
_WORDS = {
    "promote": ("Promote", "good", "The challenger replaces the champion."),
    "reject": ("Reject", "bad", "The champion stays."),
    "underpowered": ("Underpowered", "warn", "The champion stays: this test set is too small to tell."),
}
_USES = {
    "argmax": "the answer of the API: right most often",
    "median": "where being far off costs more than being off by one",
    "mean": "for totals over many bins; not a whole number",
}


def write_page(path: Path, evaluation: Evaluation) -> None:
    """Write the page to `path`."""
    word, tone, meaning = _WORDS[evaluation.verdict.verdict]
    models = list(evaluation.assessments.values())
    studies = {name: study for name in ("challenger", "champion") if (study := evaluation.assessments[name].study)}
    write_report(
        path,
        "evaluation.html",
        evaluation=evaluation,
        verdict=evaluation.verdict,
        word=word,
        tone=tone,
        meaning=meaning,
        challenger=evaluation.assessments["challenger"],
        champion=evaluation.assessments["champion"],
        models=models,
        metrics=[(title, [_with_interval(model, name) for model in models]) for name, title in _TITLES.items()],
        balanced=[(_TITLES[name], [_balanced(model, name) for model in models]) for name in _BALANCED],
        guards=[(guard, *_guard_texts(guard)) for guard in evaluation.verdict.guards],
        groups=group_table(evaluation.pairs),
        per_class=list(
            zip(
                evaluation.assessments["challenger"].metrics.per_class,
                evaluation.assessments["champion"].metrics.per_class,
                strict=True,
            )
        ),
        decodings=[(how, _USES[how], _decoding_rows(studies, how)) for how in DECODINGS],
        targets=_target_rows(studies),
        thresholds=list(zip(*(study.automation.table for study in studies.values()), strict=True)),
        orders=_order_rows(studies),
        decisions=DECISIONS,
        pass_probability=PASS_PROBABILITY,
        fail_probability=FAIL_PROBABILITY,
        source_rows=evaluation.sources.rows[:SOURCE_ROWS],
        counts=COUNTS,
        hardest=_hardest(evaluation),
        charts=_charts(evaluation, studies),
    )


def _charts(evaluation: Evaluation, studies: Mapping[str, Study]) -> dict[str, Any]:
    verdict, models = evaluation.verdict, evaluation.assessments
    return {
        "gain": charts.gain_chart(verdict),
        "power": charts.power_chart(verdict),
        "confusions": [charts.confusion_chart(model) for model in models.values() if model.study],
        "sources": charts.source_chart(evaluation.sources),
        "reliability": [confidence_charts.reliability_chart(models[name], study) for name, study in studies.items()],
        "automation": confidence_charts.automation_chart(studies),
        "thresholds": confidence_charts.threshold_chart(studies["challenger"]),
        "orders": confidence_charts.orders_chart(studies),
    }


def _with_interval(model: Assessment, name: str) -> tuple[str, str]:
    """The value and its interval as text; a metric that the model does not have is a dash."""
    value = getattr(model.metrics, name) if name in SCALARS else model.ece
    return ("–", "") if value is None else _texts(value, model.intervals[name])


def _balanced(model: Assessment, name: str) -> tuple[str, str]:
    return _texts(model.balanced[name], model.balanced_intervals[name])


def _texts(value: float, found: Interval) -> tuple[str, str]:
    return f"{value:.3f}", f"{found.low:.3f}\u2060–\u2060{found.high:.3f}"


def _guard_texts(guard: Guard) -> tuple[str, str, str, str, str]:
    """Title, whether it holds, champion, limit and challenger of one row."""
    held = "yes" if guard.holds else "broken"
    if guard.name == "latency_ms":
        return (
            "Latency, one photo (ms)",
            held,
            f"{guard.champion:.1f}",
            f"≤\u00a0{guard.limit:g}",
            f"{guard.challenger:.1f}",
        )
    title = _TITLES.get(guard.name) or f"Recall of {guard.name.removeprefix('recall_')}"
    side = "≤" if guard.name == "rmse" else "≥"
    if guard.p_value is not None and guard.challenger < guard.limit:
        held += (
            f", p = {guard.p_value:.2g}" if not guard.holds else f": the fall may be chance, p = {guard.p_value:.2f}"
        )
    return title, held, f"{guard.champion:.3f}", f"{side}\u00a0{guard.limit:.3f}", f"{guard.challenger:.3f}"


def _decoding_rows(studies: Mapping[str, Study], how: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per model its raw figures, each with the class-balanced one below."""
    rows = []
    for name, study in studies.items():
        found = study.decodings[how]
        rows.append((name, [(f"{found.raw[key]:.3f}", f"{found.balanced[key]:.3f}") for key in FIGURES]))
    return rows


def _target_rows(studies: Mapping[str, Study]) -> list[tuple[float, list[tuple[str, Any, Any]]]]:
    """Per wanted precision and model: what is proven and what was observed."""
    rows = []
    for index, wanted in enumerate(TARGETS):
        found = [(name, study.automation.targets[index]) for name, study in studies.items()]
        rows.append((wanted, [(name, target.proven, target.observed) for name, target in found]))
    return rows


def _order_rows(studies: Mapping[str, Study]) -> list[tuple[str, str, Any]]:
    return [(situation, name, study.orders[situation]) for situation in SITUATIONS for name, study in studies.items()]


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
