"""The record of one pipeline execution, in the words of DescribePipelineExecution and ListPipelineExecutionSteps."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.steps.base import ExecutionInfo

STEP_REASON_LENGTH = 1024  # characters that ListPipelineExecutionSteps keeps of a FailureReason
_STEPS_FAILED = "Step failure: One or multiple steps failed."  # SageMaker's words; the steps say which and why


@dataclass
class StepRecord:
    """One step of one execution. Status: Waiting, Executing, Succeeded, Failed, Stopped or NotReached."""

    name: str
    type: str
    status: str = "Waiting"
    started: float | None = None
    ended: float | None = None
    reason: str | None = None
    cached: bool = False
    cached_from: str | None = None
    attempts: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    peak_mb: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """The step begins now."""
        self.status, self.started = "Executing", time.time()

    def end(
        self,
        status: str,
        *,
        reason: str | None = None,
        outputs: Mapping[str, Any] | None = None,
        peak_mb: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """The step ended; the status is set last, because other threads look at it first."""
        self.ended, self.reason, self.peak_mb = time.time(), reason, peak_mb
        self.outputs, self.details = outputs or {}, details or {}
        self.status = status

    @property
    def seconds(self) -> float | None:
        """Wall seconds so far or in all; None when the step never started."""
        if self.started is None:
            return None
        return (self.ended or time.time()) - self.started

    def describe(self, *, stopping: bool = False) -> dict[str, Any]:
        """One item of ListPipelineExecutionSteps; `stopping`: the execution was asked to stop."""
        shown: dict[str, Any] = {
            "StepName": self.name,
            "StepStatus": "Stopping" if stopping and self.status == "Executing" else self.status,
            "StartTime": self.started,
            "EndTime": self.ended,
            "Metadata": dict(self.metadata) or None,
            "AttemptCount": self.attempts,
        }
        if self.status == "Failed" and self.reason:
            shown["FailureReason"] = self.reason[:STEP_REASON_LENGTH]
        if self.cached:
            shown["CacheHitResult"] = {"SourcePipelineExecutionArn": self.cached_from}
        return {key: value for key, value in shown.items() if value is not None}


@dataclass
class Execution:
    """One run of the pipeline. Status: Executing, Succeeded, Failed or Stopped; `reason` is the whole story of an
    execution that did not succeed. `stopping`: somebody asked it to stop."""

    info: ExecutionInfo
    parameters: Mapping[str, Any]
    steps: dict[str, StepRecord]
    status: str = "Waiting"
    reason: str | None = None
    ended: float | None = None
    stopping: bool = False

    def finish(self, status: str, reason: str | None) -> None:
        """The execution ended."""
        self.status, self.reason = status, reason
        self.ended = time.time()

    def describe(self) -> dict[str, Any]:
        """What DescribePipelineExecution answers."""
        shown: dict[str, Any] = {
            "PipelineArn": self.info.pipeline_arn,
            "PipelineExecutionArn": self.info.arn,
            "PipelineExecutionStatus": self.shown_status,
            "CreationTime": self.info.started,
            "LastModifiedTime": self.ended or time.time(),
        }
        if self.status == "Failed":
            shown["FailureReason"] = _STEPS_FAILED
        return shown

    @property
    def shown_status(self) -> str:
        """The status in the words of the API."""
        if self.ended is not None:
            return self.status
        return "Stopping" if self.stopping else "Executing"

    def describe_steps(self) -> list[dict[str, Any]]:
        """What ListPipelineExecutionSteps answers: steps that started, in order of their start."""
        started = [record for record in self.steps.values() if record.started is not None]
        ordered = sorted(started, key=lambda r: r.started or 0.0)
        return [record.describe(stopping=self.stopping) for record in ordered]
