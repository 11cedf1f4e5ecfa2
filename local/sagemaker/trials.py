"""A tuning job's trials, as its descriptions and lists show them while it runs and afterwards."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.sagemaker.jobs import Job

_STATES = {"Completed": "Completed", "Failed": "NonRetryableError", "Stopped": "Stopped"}
_RANGES = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")


def counters(search: "Job") -> dict[str, Any]:
    """TrainingJobStatusCounters and ObjectiveStatusCounters of a search as it stands."""
    states = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    objectives = {"Succeeded": 0, "Pending": 0, "Failed": 0}
    for trial in list(search.trials):
        states[_STATES.get(trial.status, "InProgress")] += 1
        objectives[summary(search, trial)["ObjectiveStatus"]] += 1
    return {"TrainingJobStatusCounters": states, "ObjectiveStatusCounters": objectives}


def summary(search: "Job", trial: "Job") -> dict[str, Any]:
    """HyperParameterTrainingJobSummary."""
    config = search.describe["HyperParameterTuningJobConfig"]
    objective = config["HyperParameterTuningJobObjective"]
    names = [item["Name"] for key in _RANGES for item in config["ParameterRanges"].get(key, [])]
    values = trial.describe["HyperParameters"]
    metrics = {item["MetricName"]: item["Value"] for item in trial.describe.get("FinalMetricDataList", [])}
    value = metrics.get(objective["MetricName"])
    shown = {
        **trial.describe,
        "TunedHyperParameters": {name: _plain(values[name]) for name in names if name in values},
        "ObjectiveStatus": _objective_status(trial.describe, value),
    }
    if value is not None:
        shown["FinalHyperParameterTuningJobObjectiveMetric"] = {**objective, "Value": value}
    return shown


def _objective_status(trial: Mapping[str, Any], value: float | None) -> str:
    if value is not None:
        return "Succeeded"
    return "Pending" if trial["TrainingJobStatus"] in ("InProgress", "Stopping") else "Failed"


def _plain(value: str) -> str:
    """A category without the quotes that containers get it with."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
