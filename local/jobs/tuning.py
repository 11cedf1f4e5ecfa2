"""Hyperparameter tuning jobs: CreateHyperParameterTuningJob in, DescribeHyperParameterTuningJob out."""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from local.errors import StepError
from local.jobs.ranges import as_strings, for_container
from local.jobs.search import Search
from local.jobs.training import run_training_job
from local.jobs.workspace import JobContext, JobResult, Workspace
from local.memory import MemoryMeter
from local.s3uri import S3Uri
from local.stopping import StopSignal

RunTrial = Callable[[Mapping[str, Any], Workspace, JobContext, Callable[[str, float], None]], JobResult]

_EARLY = "early stopping"
_DEFAULT_MAX_SECONDS = 30 * 86400


@dataclass
class Trial:
    """One training job of the search. `objective` is its last value, or the one at which it was ended early."""

    number: int
    values: Mapping[str, Any]
    stop: StopSignal
    objective: float | None = None
    pruned: bool = False
    result: JobResult | None = None
    ended: float = field(default_factory=time.time)

    @property
    def status(self) -> str:
        """TrainingJobStatus."""
        return "Failed" if self.result is None else str(self.result.describe["TrainingJobStatus"])

    def score(self) -> float | None:
        """What the search learns from it: nothing when it failed."""
        return self.objective if self.status in ("Completed", "Stopped") else None


def run_tuning_job(
    request: Mapping[str, Any], workspace: Workspace, context: JobContext, run_trial: RunTrial = run_training_job
) -> JobResult:
    """Run the search. The job fails when no trial completed with an objective value; its reason is the first trial's.

    `run_trial` runs the training job of a trial.
    """
    started = time.time()
    config = request["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    parallel = limits["MaxParallelTrainingJobs"]
    search = Search(config, seed=config.get("RandomSeed", 0))
    futures: list[Future[Trial]] = []
    trials: list[Trial] = []
    stop = StopSignal(context.stop)
    deadline = threading.Timer(
        limits.get("MaxRuntimeInSeconds", _DEFAULT_MAX_SECONDS), stop.set, ["MaxRuntimeInSeconds"]
    )
    deadline.daemon = True
    deadline.start()
    with ThreadPoolExecutor(parallel) as pool:
        for number in range(limits["MaxNumberOfTrainingJobs"]):
            if number >= parallel:
                _settle(search, futures, trials, number - parallel + 1)
            if stop.is_set():
                break
            trial = Trial(*search.ask(), stop=StopSignal(stop))
            futures.append(pool.submit(_run_trial, trial, search, request, workspace, context, run_trial))
        _settle(search, futures, trials, len(futures))
    deadline.cancel()
    return _result(request, workspace, context, trials, started)


def _settle(search: Search, futures: list[Future[Trial]], trials: list[Trial], until: int) -> None:
    """Wait for trials below `until` and tell them, in order."""
    while len(trials) < until:
        trial = futures[len(trials)].result()
        search.tell(trial.number, trial.score())
        trials.append(trial)


def _run_trial(
    trial: Trial,
    search: Search,
    request: Mapping[str, Any],
    workspace: Workspace,
    context: JobContext,
    run_trial: RunTrial,
) -> Trial:
    job = _training_request(request, trial)
    objective = _objective(request)["MetricName"]
    shown = " ".join(f"{name}={_short(value)}" for name, value in trial.values.items())
    context.on_line(f"trial {trial.number + 1}: {shown}")

    def on_metric(name: str, value: float) -> None:
        if name == objective and not trial.pruned:
            trial.objective = value
            if search.report(trial.number, value):
                trial.pruned = True
                trial.stop.set(_EARLY)

    inner = JobContext(
        folder=context.folder / f"trial-{trial.number + 1:03d}",
        stop=trial.stop,
        on_line=lambda line: context.on_line(f"trial {trial.number + 1}: {line}"),
        note=context.note,
        meter=MemoryMeter(context.meter),
    )
    try:
        trial.result = run_trial(job, workspace, inner, on_metric)
    except StepError as failure:
        trial.result = JobResult({**job, "TrainingJobStatus": "Failed", "FailureReason": failure.reason}, 0.0)
    trial.ended = time.time()
    how = "stopped early" if trial.pruned else trial.status.lower()
    value = "no objective value" if trial.objective is None else f"{objective}={trial.objective:.4f}"
    reason = str(trial.result.describe.get("FailureReason", "")).strip()
    context.on_line(f"trial {trial.number + 1} {how}: {reason.splitlines()[-1] if reason else value}")
    return trial


def _training_request(request: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    job = dict(request["TrainingJobDefinition"])
    job.pop("HyperParameterRanges", None)
    job.pop("TuningObjective", None)
    static = job.pop("StaticHyperParameters", {})
    name = request["HyperParameterTuningJobName"]
    job["TrainingJobName"] = f"{name}-{trial.number + 1:03d}-{_suffix(name, trial.number)}"
    objective = {"_tuning_objective_metric": _objective(request)["MetricName"]}
    job["HyperParameters"] = {**static, **for_container(trial.values), **objective}
    if "HyperParameterTuningResourceConfig" in job:
        job["ResourceConfig"] = job.pop("HyperParameterTuningResourceConfig")
    if "CheckpointConfig" in job:
        uri = S3Uri.parse(job["CheckpointConfig"]["S3Uri"]).child(job["TrainingJobName"])
        job["CheckpointConfig"] = {**job["CheckpointConfig"], "S3Uri": str(uri)}
    return job


def _objective(request: Mapping[str, Any]) -> Mapping[str, Any]:
    objective: Mapping[str, Any] = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    return objective


def _suffix(name: str, number: int) -> str:
    return hashlib.sha256(f"{name}/{number}".encode()).hexdigest()[:8]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _result(
    request: Mapping[str, Any], workspace: Workspace, context: JobContext, trials: list[Trial], started: float
) -> JobResult:
    counts = {status: sum(t.status == status for t in trials) for status in ("Completed", "Failed", "Stopped")}
    finished = [t for t in trials if t.status == "Completed" and t.objective is not None]
    answer: dict[str, Any] = {
        **request,
        "HyperParameterTuningJobArn": workspace.arn(
            "hyper-parameter-tuning-job", request["HyperParameterTuningJobName"]
        ),
        "CreationTime": started,
        "HyperParameterTuningEndTime": time.time(),
        "TrainingJobStatusCounters": {
            "Completed": counts["Completed"],
            "InProgress": 0,
            "RetryableError": 0,
            "NonRetryableError": counts["Failed"],
            "Stopped": counts["Stopped"],
        },
        "ObjectiveStatusCounters": {"Succeeded": len(finished), "Pending": 0, "Failed": len(trials) - len(finished)},
        "TrainingJobSummaries": [_summary(request, trial) for trial in trials],
    }
    sign = 1 if _objective(request)["Type"] == "Maximize" else -1
    if context.stop.is_set():
        answer["HyperParameterTuningJobStatus"] = "Stopped"
    elif not finished:
        answer["HyperParameterTuningJobStatus"] = "Failed"
        answer["FailureReason"] = _no_success(request, trials)
    else:
        best = max(finished, key=lambda t: (sign * (t.objective or 0.0), -t.number))
        answer["HyperParameterTuningJobStatus"] = "Completed"
        answer["BestTrainingJob"] = _summary(request, best)
    return JobResult(answer, context.meter.peak_mb)


def _no_success(request: Mapping[str, Any], trials: list[Trial]) -> str:
    first = next((t for t in trials if t.result and "FailureReason" in t.result.describe), None)
    if first is None or first.result is None:
        return f"none of {len(trials)} trials printed the objective {_objective(request)['MetricName']}"
    return f"none of {len(trials)} trials succeeded; trial {first.number + 1}: {first.result.describe['FailureReason']}"


def _summary(request: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    """HyperParameterTrainingJobSummary."""
    describe = trial.result.describe if trial.result else {}
    shown: dict[str, Any] = {
        "TrainingJobName": describe.get("TrainingJobName"),
        "TrainingJobArn": describe.get("TrainingJobArn"),
        "TrainingJobStatus": trial.status,
        "CreationTime": describe.get("CreationTime"),
        "TrainingEndTime": trial.ended,
        "TunedHyperParameters": as_strings(trial.values),
        "FailureReason": describe.get("FailureReason"),
        "ObjectiveStatus": "Succeeded" if trial.objective is not None else "Failed",
    }
    if trial.objective is not None:
        metric = {"MetricName": _objective(request)["MetricName"], "Value": trial.objective}
        shown["FinalHyperParameterTuningJobObjectiveMetric"] = {**metric, "Type": _objective(request)["Type"]}
    return {key: value for key, value in shown.items() if value is not None}
