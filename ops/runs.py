"""Runs of the pipeline: start, list, describe, stop, and find the one that an upload started."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from infra.settings import Training
from ops.account import Account
from ops.errors import OpsError, code, says
from pipeline.parameters import check, check_together
from pipeline.search import usual_space

RUNNING = ("Executing", "Stopping")
_STARTED_SECONDS = 300.0  # how long a run may take to appear after _SUCCESS was put


@dataclass(frozen=True)
class Step:
    """A step of a run that was reached. `detail` says what its job is doing, `reason` why it failed."""

    name: str
    status: str  # Starting, Executing, Stopping, Stopped, Failed, Succeeded
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    cached: bool = False
    detail: str = ""
    is_refusal: bool = False  # a Fail step: the pipeline itself says no

    @property
    def seconds(self) -> float | None:
        """How long it took, or takes so far; None before it started."""
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


@dataclass(frozen=True)
class Run:
    """A run as it stands. `status` is SageMaker's; `outcome` what it means."""

    arn: str
    name: str
    status: str
    started: datetime
    ended: datetime | None
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def id(self) -> str:
        """Last part of the ARN."""
        return self.arn.rsplit("/", 1)[-1]

    @property
    def outcome(self) -> str:
        """`running`, `succeeded`, `refused` (the gate said no; nothing broke), `failed` or `stopped`."""
        if self.status in RUNNING:
            return "running"
        if self.status == "Failed":
            failed = [step for step in self.steps if step.status == "Failed"]
            return "refused" if failed and all(step.is_refusal for step in failed) else "failed"
        return self.status.lower()


def start(account: Account, prefix: str, parameters: Mapping[str, str] | None = None, name: str | None = None) -> str:
    """Start a run on `s3://raw/PREFIX/` through the trigger function; the execution's ARN.

    OpsError when the function refuses: an empty prefix, an unknown parameter.
    """
    event: dict[str, Any] = {"prefix": prefix.rstrip("/"), "parameters": dict(parameters or {})}
    if name:
        event["name"] = name
    function = account.output("training", "TriggerFunction")
    answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    result = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        why = result.get("errorMessage") if isinstance(result, dict) else result
        raise OpsError(f"no run was started on {prefix}: {why}")
    return str(result["pipelineExecutionArn"])


def parse_parameters(pairs: list[str]) -> dict[str, str]:
    """`--parameter NAME=VALUE`, as typed. OpsError for anything else."""
    parsed = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not equals or not name.isalnum():
            raise OpsError(f"--parameter {text}: write NAME=VALUE, for example GateAlpha=0.01")
        parsed[name] = value
    return parsed


def check_parameters(given: Mapping[str, str], training: Training) -> None:
    """OpsError names a parameter that there is not, or a value that a job of the run would refuse hours later.

    `training` holds the environment's defaults of those that are not given.
    """
    try:
        values = {name: check(name, text, gpu=training.gpu) for name, text in given.items()}
        check_together({**training.parameters, **values}, usual_space(training.pretrained), gpu=training.gpu)
    except ValueError as error:
        raise OpsError(f"--parameter: {error}") from error


def runs(account: Account, limit: int = 10) -> list[Run]:
    """The newest runs, without their steps."""
    answer = _call(
        account, "list_pipeline_executions", PipelineName=account.names.pipeline, SortBy="CreationTime",
        SortOrder="Descending", MaxResults=limit,
    )  # fmt: skip
    return [_summary(item) for item in answer["PipelineExecutionSummaries"]]


def recent(account: Account, limit: int) -> list[Run]:
    """The newest runs; those that failed with their steps, which tell a refusal of the gate from a failure."""
    return [describe(account, run.arn) if run.status == "Failed" else run for run in runs(account, limit)]


def newest(account: Account) -> Run:
    """The newest run. OpsError when there was none yet."""
    found = runs(account, 1)
    if not found:
        raise OpsError(
            f"pipeline {account.names.pipeline} has not run yet; "
            f"start it: python -m ops upload DIR photos --env {account.environment}"
        )
    return found[0]


def resolve(account: Account, text: str | None) -> str:
    """ARN of the run that a person named by ARN, by its last part, or by nothing (the newest)."""
    if not text:
        return newest(account).arn
    if text.startswith("arn:"):
        return text
    for run in runs(account, 100):
        if text in (run.id, run.name):
            return run.arn
    raise OpsError(f"pipeline {account.names.pipeline} has no run {text}; `runs` lists them")


def describe(account: Account, arn: str) -> Run:
    """The run with its parameters and steps. OpsError when there is none of that ARN."""
    answer = _call(account, "describe_pipeline_execution", PipelineExecutionArn=arn)
    given = _pages(account, "list_pipeline_parameters_for_execution", "PipelineParameters", PipelineExecutionArn=arn)
    steps = _pages(account, "list_pipeline_execution_steps", "PipelineExecutionSteps", PipelineExecutionArn=arn)
    status = answer["PipelineExecutionStatus"]
    return Run(
        arn=arn,
        name=answer.get("PipelineExecutionDisplayName", ""),
        status=status,
        started=answer["CreationTime"],
        ended=None if status in RUNNING else answer.get("LastModifiedTime"),
        reason=answer.get("FailureReason", ""),
        parameters={item["Name"]: item["Value"] for item in given},
        steps=tuple(sorted((_step(account, item) for item in steps), key=_by_start)),
    )


def stop(account: Account, arn: str) -> None:
    """Ask for the run to be stopped. OpsError when it has ended already."""
    status = describe(account, arn).status
    if status not in RUNNING:
        raise OpsError(f"run {arn.rsplit('/', 1)[-1]} has ended ({status}); there is nothing to stop")
    _call(account, "stop_pipeline_execution", PipelineExecutionArn=arn, ClientRequestToken=_token(arn))


def wait_for_start(
    account: Account, prefix: str, known: set[str], *, seconds: float = _STARTED_SECONDS, every: float = 2.0
) -> str:
    """ARN of the run on `prefix` that appears and is none of `known` (ARNs listed before); OpsError after `seconds`."""
    deadline = time.monotonic() + seconds
    foreign: set[str] = set()
    while True:
        for run in runs(account, 20):
            if run.arn in known | foreign:
                continue
            given = _pages(
                account, "list_pipeline_parameters_for_execution", "PipelineParameters", PipelineExecutionArn=run.arn
            )
            if {"Name": "InputPrefix", "Value": prefix.rstrip("/")} in given:
                return run.arn
            foreign.add(run.arn)
        if time.monotonic() > deadline:
            raise OpsError(
                f"no run on {prefix} began within {seconds:.0f} s after its _SUCCESS was put: look at the log of "
                f"function {account.names.function('trigger')}, or start one: "
                f"python -m ops start {prefix} --env {account.environment}"
            )
        time.sleep(every)


def _token(arn: str) -> str:
    return ("ops-stop-" + arn.rsplit("/", 1)[-1]).ljust(32, "0")  # SageMaker wants 32 characters at least


def _summary(item: Mapping[str, Any]) -> Run:
    return Run(
        arn=item["PipelineExecutionArn"],
        name=item.get("PipelineExecutionDisplayName", ""),
        status=item["PipelineExecutionStatus"],
        started=item["StartTime"],
        ended=None,
        reason=item.get("PipelineExecutionFailureReason", ""),
    )


def _by_start(step: Step) -> datetime:
    return step.started or datetime.max.replace(tzinfo=UTC)


def _step(account: Account, item: Mapping[str, Any]) -> Step:
    metadata = item.get("Metadata", {})
    status = item["StepStatus"]
    refusal = metadata.get("Fail", {}).get("ErrorMessage", "")
    return Step(
        name=item["StepName"],
        status=status,
        started=item.get("StartTime"),
        ended=item.get("EndTime"),
        reason=item.get("FailureReason", "") or (refusal if status == "Failed" else ""),
        cached=bool(item.get("CacheHitResult")),
        detail=_detail(account, metadata) if status == "Executing" else "",
        is_refusal="Fail" in metadata,
    )


def _detail(account: Account, metadata: Mapping[str, Any]) -> str:
    try:
        return _progress(account, metadata)
    except ClientError:  # a job that is not there yet, or a throttled call: no reason to stop watching the run
        return ""


def _progress(account: Account, metadata: Mapping[str, Any]) -> str:
    """What a running job says about itself."""
    sagemaker = account.client("sagemaker")
    if arn := metadata.get("TuningJob", {}).get("Arn"):
        job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=arn.rsplit("/", 1)[-1])
        counts = job.get("TrainingJobStatusCounters", {})
        wanted = job["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
        return f"{counts.get('Completed', 0)} of {wanted} trials done, {counts.get('InProgress', 0)} running"
    if arn := metadata.get("TrainingJob", {}).get("Arn"):
        job = sagemaker.describe_training_job(TrainingJobName=arn.rsplit("/", 1)[-1])
        metrics = {item["MetricName"]: item["Value"] for item in job.get("FinalMetricDataList", [])}
        shown = [str(job.get("SecondaryStatus", ""))] + [f"{name} {value:.4g}" for name, value in metrics.items()]
        return ", ".join(filter(None, shown))
    return ""


def _pages(account: Account, operation: str, key: str, **request: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = _call(account, operation, **request)
        found += answer.get(key, [])
        if not answer.get("NextToken"):
            return found
        request["NextToken"] = answer["NextToken"]


def _call(account: Account, operation: str, **request: Any) -> Any:
    try:
        return getattr(account.client("sagemaker"), operation)(**request)
    except ClientError as error:
        if code(error) in ("ResourceNotFound", "ResourceNotFoundException"):
            raise OpsError(
                f"{says(error)}: is environment {account.environment} deployed in {account.region}, and the name "
                "right? `runs` lists runs, `deploy` deploys"
            ) from error
        raise
