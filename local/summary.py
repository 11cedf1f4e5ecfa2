"""The end of a run: summary.json for programs, a table for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.files import write_json
from local.journal import ExecutionRecord

LIMITS = (
    "A run on the laptop proves the order of the steps, the wiring and Tally's own code. "
    "It does not prove IAM permissions, quotas or SageMaker's own behaviour."
)
_METRICS = (
    ("accuracy", "accuracy"),
    ("macro_f1", "macro F1"),
    ("rmse", "RMSE"),
    ("within_1", "within 1"),
    ("latency_ms", "latency, ms"),
)


def summarize(
    record: ExecutionRecord,
    *,
    seconds: float,
    peak_mb: float,
    evaluation: Mapping[str, Any] | None,
    prediction: Mapping[str, Any] | None,
    reports: Mapping[str, Path],
    prediction_failure: str | None = None,
) -> dict[str, Any]:
    """Everything that summary.json holds; `reports` relative to the build directory."""
    models = (evaluation or {}).get("models", {})
    status = record.outcome
    failure = record.reason if status != "succeeded" else None
    if prediction_failure and status == "succeeded":
        status, failure = "failed", prediction_failure
    elif prediction_failure:
        failure = f"{failure}; {prediction_failure}"
    return {
        "status": status,
        "seconds": round(seconds, 1),
        "peak_mb": round(peak_mb),
        "steps": {
            name: {
                "status": step.status,
                "seconds": None if step.seconds is None else round(step.seconds, 1),
                "cached": step.cached,
                "peak_mb": None if step.peak_mb is None else round(step.peak_mb),
            }
            for name, step in record.steps.items()
        },
        "gate": (evaluation or {}).get("gate"),
        "metrics": {name: models[name] for name in ("challenger", "champion") if name in models},
        "champion_name": (evaluation or {}).get("champion_name"),
        "prediction": prediction,
        "reports": {name: str(path) for name, path in reports.items()},
        "execution": record.execution_id,
        "parameters": dict(record.parameters),
        "failure_reason": failure,
        "limits": LIMITS,
    }


def write_summary(build: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json` into the build directory."""
    write_json(build / "summary.json", summary)


def print_summary(summary: Mapping[str, Any], build: Path, stream: TextIO) -> None:
    """Print what a person wants to know after a run."""
    console = Console(file=stream, highlight=False, soft_wrap=True)
    console.print()
    console.print(_steps_table(summary))
    if summary["gate"]:
        console.print(_metrics_table(summary))
        gate = summary["gate"]
        console.print(Text(f"Gate: {gate['verdict']}. {gate['reason']}"))
    if summary["prediction"]:
        console.print(Text(_prediction_text(summary["prediction"])))
    for name, path in summary["reports"].items():
        console.print(Text(f"Report on {name}: {build / path}"))
    console.print(Text(f"Summary: {build / 'summary.json'}"))
    ending = f"Status: {summary['status']} after {summary['seconds']:.0f} s, {summary['peak_mb']} MB at most"
    console.print(Text(ending + (f". {summary['failure_reason']}" if summary["failure_reason"] else "")))
    console.print(Text(summary["limits"]))


def _steps_table(summary: Mapping[str, Any]) -> Table:
    table = Table("step", "status", box=None, pad_edge=False)
    table.add_column("seconds", justify="right")
    table.add_column("peak MB", justify="right")
    for name, step in summary["steps"].items():
        status = "cached" if step["cached"] else step["status"]
        seconds = "" if step["seconds"] is None else f"{step['seconds']:.1f}"
        table.add_row(name, status, seconds, "" if step["peak_mb"] is None else str(step["peak_mb"]))
    return table


def _metrics_table(summary: Mapping[str, Any]) -> Table:
    table = Table("metric", box=None, pad_edge=False)
    table.add_column("challenger", justify="right")
    table.add_column(f"champion ({summary['champion_name']})", justify="right")
    for key, label in _METRICS:
        values = [_metric(summary["metrics"].get(name, {}), key) for name in ("challenger", "champion")]
        if any(values):
            table.add_row(label, *values)
    return table


def _metric(model: Mapping[str, Any], key: str) -> str:
    value = model.get(key, model.get("metrics", {}).get(key))
    if isinstance(value, Mapping):
        value = value.get("value")
    return "" if value is None else f"{value:.4g}"


def _prediction_text(prediction: Mapping[str, Any]) -> str:
    kinds = {"deployed": "the model just deployed", "champion": "the champion that stays in service"}
    return (
        f"Photo {prediction['photo']}, which no model was trained on: {prediction['count']} objects "
        f"(confidence {prediction['confidence']:.2f}), labelled {prediction['label']}; "
        f"answered by POST {prediction['url']} with {kinds[prediction['from']]} (package {prediction['package']})"
    )
