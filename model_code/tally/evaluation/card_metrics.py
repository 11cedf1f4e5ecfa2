"""What a model card says of a model's evaluation: figures with intervals, charts, and the gate's verdict.

The helpers keep every value inside the limits of the model package model card schema, see `tally.evaluation.card`.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tally.gate import MEASURES
from tally.labels import COUNTS

Json = Mapping[str, Any]

_METRICS = {
    "accuracy": "Accuracy",
    "macro_recall": "Class-balanced accuracy (mean recall)",
    "macro_f1": "Macro-F1",
    "rmse": "RMSE, objects",
    "mae": "MAE, objects",
    "within_1": "Within 1 object",
    "quadratic_kappa": "Quadratic kappa",
    "ece": "Expected calibration error",
}
_BALANCED = {"rmse": "RMSE, class-balanced, objects", "within_1": "Within 1 object, class-balanced"}
_GATE = ("p_value", "alpha", "gain", "power", "gain_that_matters", "smallest_detectable_gain")
_AXIS = [str(count) for count in COUNTS]
_MOST_SOURCES = 20


def evaluation_detail(name: str, document: Json, test_uri: str | None, job_arn: str | None) -> Json:
    """One model on the test photos; the challenger with everything, those it is compared with in short."""
    model, test = document["models"][name], document["test"]
    summary = {"test_sha256": test["sha256"], "photos": str(test["photos"]), "groups": str(test["groups"])}
    found: Json = {
        "name": cut(f"{name}: {model['model']}", 63),
        "datasets": listed(test_uri),
        "metadata": summary,
        "metric_groups": [{"name": "All test photos", "metric_data": list(_scalars(model))}],
    }
    if name != "challenger":
        return found
    gate = document["gate"]
    verdict = f"Verdict: {gate['verdict']}. {gate['reason']} Compared with {document['champion_name']}."
    return {
        **found,
        **given(evaluation_job_arn=job_arn),
        "evaluation_observation": cut(" ".join([verdict, *document["warnings"]]), 2096),
        "metadata": summary | {key: cut(str(text), 1024) for key, text in gate["summary"].items()},
        "metric_groups": [*found["metric_groups"], *_details(model, document)],
    }


def _details(model: Json, document: Json) -> Iterator[Json]:
    """Per count, who is taken for whom, per source, and the gate."""
    rows = [model["per_class"][count] for count in _AXIS]
    bars = [
        {
            "name": f"{kind} by count",
            "type": "bar_chart",
            "value": [_number(row[key]) for row in rows],
            "x_axis_name": _AXIS,
            "y_axis_name": unit,
        }
        for kind, key, unit in (
            ("Recall", "recall", "share of the photos of a count"),
            ("Precision", "precision", "share of the answers of a count"),
            ("F1", "f1", "F1"),
            ("Photos", "photos", "photos"),
        )
    ]
    matrix = {
        "name": "Confusion matrix: rows true, columns predicted",
        "type": "matrix",
        "value": model["confusion_matrix"],
        "x_axis_name": _AXIS,
        "y_axis_name": _AXIS,
    }
    yield {"name": "By count", "metric_data": [*bars, matrix]}
    sources = document.get("sources", {}).get("rows", [])[:_MOST_SOURCES]
    if sources:
        yield {
            "name": "By source",
            "metric_data": [
                _simple(
                    cut(f"Accuracy, source {row['source']}", 255),
                    row["accuracy"]["challenger"],
                    f"{row['photos']} photos; the source alone gives {row['alone']:.3f}",
                )
                for row in sources
            ],
        }
    gate = document["gate"]
    low, high = gate["gain_interval"]
    measure = MEASURES[gate["weighting"]]
    notes = {"gain": f"gain in {measure} over {document['champion_name']}, interval {low:.4f} to {high:.4f}"}
    yield {
        "name": "Gate",
        "metric_data": [
            _simple("verdict", gate["verdict"], gate["reason"]),
            *(_simple(key, gate[key], notes.get(key)) for key in _GATE if is_number(gate.get(key))),
        ],
    }


def _scalars(model: Json) -> Iterator[Json]:
    for key, title in _METRICS.items():
        if is_number(model.get(key)):
            yield _simple(title, model[key], _interval(model, key))
    balanced = model.get("balanced", {})
    for key, title in _BALANCED.items():
        if is_number(balanced.get(key)):
            yield _simple(title, balanced[key], _interval(balanced, key))


def _interval(holder: Json, key: str) -> str | None:
    sides = holder.get("intervals", {}).get(key)
    return f"95% interval {sides[0]:.4f} to {sides[1]:.4f}, bootstrap over groups" if sides else None


def _simple(name: str, value: Any, notes: str | None = None) -> Json:
    is_text = isinstance(value, str)
    shown = cut(value, 63) if is_text else _number(value)
    return {"name": name, "type": "string" if is_text else "number", "value": shown} | (
        {"notes": cut(notes, 1024)} if notes else {}
    )


def _number(value: float) -> float:
    """Six digits: a card is read by people."""
    return float(f"{value:.6g}")


def is_number(value: Any) -> bool:
    """Whether JSON can hold it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def given(**members: Any) -> dict[str, Any]:
    """Members that there are."""
    return {name: value for name, value in members.items() if value}


def listed(text: str | None) -> list[str]:
    """The text alone, or nothing."""
    return [text] if text else []


def cut(text: str, most: int) -> str:
    """The text, or its beginning when it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."
