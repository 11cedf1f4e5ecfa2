"""Processing, training and tuning jobs: run as processes, visible from their start through Describe and List."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from local.errors import StepError
from local.events import Event
from local.jobs.processing import run_processing_job
from local.jobs.training import run_training_job
from local.jobs.tuning import run_tuning_job
from local.jobs.workspace import JobContext, JobResult, Workspace
from local.memory import MemoryMeter
from local.sagemaker import trials
from local.sagemaker.errors import ApiError, in_use, invalid, not_found
from local.sagemaker.job_kinds import KINDS, PROCESSING, TRAINING, TUNING, JobKind
from local.sagemaker.listing import listed
from local.sagemaker.packages import Emit
from local.sagemaker.tags import Tags
from local.stopping import StopSignal

Listen = Callable[[str, Event], None]
_REASON_LENGTH = 1024  # characters that the API keeps of a FailureReason
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass
class Job:
    """One job; `describe` is what its Describe operation answers right now."""

    kind: JobKind
    request: Mapping[str, Any]
    describe: dict[str, Any]
    stop: StopSignal
    trials: list["Job"] = field(default_factory=list)

    @property
    def status(self) -> str:
        """InProgress, Stopping, Completed, Failed or Stopped."""
        return str(self.describe[self.kind.status_key])


class Jobs:
    """All jobs of this process. `folder` gets one subfolder per job that no pipeline runs."""

    def __init__(self, workspace: Workspace, folder: Path, tags: Tags, emit: Emit, listen: Listen):
        self._workspace = workspace
        self._folder = folder
        self._tags = tags
        self._emit = emit
        self._listen = listen
        self._lock = threading.RLock()
        self._jobs: dict[tuple[str, str], Job] = {}
        self._threads: list[threading.Thread] = []

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        found: dict[str, Any] = {"ListTrainingJobsForHyperParameterTuningJob": self._list_trials}
        for kind in KINDS:
            found[f"Create{kind.noun}"] = partial(self._create, kind)
            found[f"Describe{kind.noun}"] = partial(self._describe, kind)
            found[f"Stop{kind.noun}"] = partial(self._stop, kind)
            found[f"List{kind.noun}s"] = partial(self._list, kind)
        return found

    def close(self, seconds: float) -> None:
        """Stop all jobs and wait up to `seconds` for their ends."""
        for job in list(self._jobs.values()):
            job.stop.set("the emulator ends")
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # running, in the caller's thread

    def run_processing(self, request: Mapping[str, Any], workspace: Workspace, context: JobContext) -> JobResult:
        """Run a processing job."""
        return self._run(self._open(PROCESSING, request, context.stop), run_processing_job, workspace, context)

    def run_training(self, request: Mapping[str, Any], workspace: Workspace, context: JobContext) -> JobResult:
        """Run a training job."""
        return self._run(self._open(TRAINING, request, context.stop), run_training_job, workspace, context)

    def run_tuning(self, request: Mapping[str, Any], workspace: Workspace, context: JobContext) -> JobResult:
        """Run a tuning job; each of its trials is a training job of its own."""
        return self._run_search(self._open(TUNING, request, context.stop), workspace, context)

    def _run_search(self, job: Job, workspace: Workspace, context: JobContext) -> JobResult:
        def run_trial(
            request: Mapping[str, Any], space: Workspace, inner: JobContext, on_metric: Callable[[str, float], None]
        ) -> JobResult:
            trial = self._open(TRAINING, request, inner.stop)
            trial.describe["TuningJobArn"] = job.describe[TUNING.arn_key]
            job.trials.append(trial)
            return self._run(trial, partial(run_training_job, on_metric=on_metric), space, inner)

        return self._run(job, partial(run_tuning_job, run_trial=run_trial), workspace, context)

    def _open(self, kind: JobKind, request: Mapping[str, Any], parent: StopSignal | None) -> Job:
        name = request[kind.name_key]
        now = time.time()
        describe = {
            **request,
            kind.arn_key: self._workspace.arn(kind.arn_kind, name),
            kind.status_key: "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        if kind.start_key:
            describe[kind.start_key] = now
        if kind is TRAINING:
            describe["SecondaryStatus"] = "Training"
        job = Job(kind, request, describe, StopSignal(parent))
        with self._lock:
            if (kind.noun, name) in self._jobs:
                raise in_use(
                    f"Job name must be unique within an AWS account and region, and a {kind.words} with this name "
                    f"already exists ({describe[kind.arn_key]})"
                )
            self._jobs[kind.noun, name] = job
        self._tags.add(describe[kind.arn_key], request.get("Tags", []))
        self._tell(job)
        return job

    def _run(self, job: Job, run: Callable[..., JobResult], workspace: Workspace, context: JobContext) -> JobResult:
        own = JobContext(context.folder, job.stop, context.on_line, context.note, context.meter)
        try:
            result = run(job.request, workspace, own)
        except Exception as error:
            reason = error.reason if isinstance(error, StepError) else str(error)
            self._end(job, {job.kind.status_key: "Failed", "FailureReason": f"ClientError: {reason}"})
            raise
        self._end(job, {**result.describe, "CreationTime": job.describe["CreationTime"]})
        return result

    def _end(self, job: Job, changes: Mapping[str, Any]) -> None:
        final = {**changes, "LastModifiedTime": time.time()}
        if "FailureReason" in final:
            final["FailureReason"] = str(final["FailureReason"])[:_REASON_LENGTH]
        if job.kind is TRAINING:
            final["SecondaryStatus"] = changes.get("SecondaryStatus", "Failed")
        job.describe.update(final)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        keys = (job.kind.name_key, job.kind.arn_key, job.kind.status_key, "SecondaryStatus", "FailureReason")
        detail = {key: job.describe[key] for key in keys if key in job.describe}
        self._emit("aws.sagemaker", job.kind.event, detail, [job.describe[job.kind.arn_key]])

    # the API

    def _find(self, kind: JobKind, name: str) -> Job:
        job = self._jobs.get((kind.noun, name))
        if job is None and kind is TUNING:
            raise not_found(f"Amazon SageMaker can't find a tuning job with the name {name}.")
        if job is None:
            raise invalid(f"Requested resource not found: there is no {kind.words} {name}.")
        return job

    def _create(self, kind: JobKind, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._open(kind, request, None)
        name = request[kind.name_key]

        def listen(event: str) -> Callable[[str], None]:
            return lambda text: self._listen(name, Event(event, name, text))

        meter = MemoryMeter(self._workspace.meter)
        context = JobContext(self._folder / name, job.stop, listen("progress"), listen("note"), meter)
        thread = threading.Thread(target=self._run_alone, args=(job, context), name=name, daemon=True)
        with self._lock:
            self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()
        return job.describe

    def _run_alone(self, job: Job, context: JobContext) -> None:
        """Run a job that no pipeline waits for; why it failed is in its description."""
        try:
            if job.kind is TUNING:
                self._run_search(job, self._workspace, context)
            else:
                run = run_processing_job if job.kind is PROCESSING else run_training_job
                self._run(job, run, self._workspace, context)
        except Exception as error:
            self._listen(job.describe[job.kind.name_key], Event("failed", text=str(error)))

    def _describe(self, kind: JobKind, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._find(kind, request[kind.name_key])
        return {**job.describe, **trials.counters(job)} if kind is TUNING else job.describe

    def _stop(self, kind: JobKind, request: Mapping[str, Any]) -> dict[str, Any]:
        job = self._find(kind, request[kind.name_key])
        with self._lock:
            if job.status in _ENDED:
                raise ApiError(
                    "ValidationException",
                    f"The request was rejected because the {kind.words} is in status {job.status}.",
                )
            job.describe[kind.status_key] = "Stopping"
        job.stop.set(f"Stop{kind.noun}")
        self._tell(job)
        return {}

    def _list(self, kind: JobKind, request: Mapping[str, Any]) -> dict[str, Any]:
        described = [
            {**job.describe, **trials.counters(job)} if kind is TUNING else job.describe
            for job in list(self._jobs.values())
            if job.kind is kind
        ]
        by = "Name" if kind is TUNING else "CreationTime"
        return listed(
            described, request, kind.list_key, name=kind.name_key, status=kind.status_key, order="Ascending", by=by
        )

    def _list_trials(self, request: Mapping[str, Any]) -> dict[str, Any]:
        search = self._find(TUNING, request["HyperParameterTuningJobName"])
        summaries = [trials.summary(search, trial) for trial in list(search.trials)]
        objective = "FinalHyperParameterTuningJobObjectiveMetric"
        if request.get("SortBy") == "FinalObjectiveMetricValue":
            summaries = [shown for shown in summaries if objective in shown]
        return listed(
            summaries,
            request,
            "TrainingJobSummaries",
            name="TrainingJobName",
            status="TrainingJobStatus",
            order="Ascending",
            by="Name",
            sort_keys={"FinalObjectiveMetricValue": lambda shown: shown[objective]["Value"]},
        )
