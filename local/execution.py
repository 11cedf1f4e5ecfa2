"""The record of one pipeline execution, in the words of DescribePipelineExecution and ListPipelineExecutionSteps."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.steps.base import ExecutionInfo


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

    def describe(self) -> dict[str, Any]:
        """One item of ListPipelineExecutionSteps."""
        shown: dict[str, Any] = {
            "StepName": self.name,
            "StepStatus": self.status,
            "StartTime": self.started,
            "EndTime": self.ended,
        }
        if self.reason:
            shown["FailureReason"] = self.reason
        if self.cached:
            shown["CacheHitResult"] = {"SourcePipelineExecutionArn": "local"}
        return {key: value for key, value in shown.items() if value is not None}


@dataclass
class Execution:
    """One run of the pipeline. Status: Executing, Succeeded, Failed or Stopped."""

    info: ExecutionInfo
    parameters: Mapping[str, Any]
    steps: dict[str, StepRecord]
    status: str = "Waiting"
    reason: str | None = None
    ended: float | None = None

    def finish(self, status: str, reason: str | None) -> None:
        """The execution ended."""
        self.status, self.reason, self.ended = status, reason, time.time()

    def describe(self) -> dict[str, Any]:
        """What DescribePipelineExecution answers."""
        shown: dict[str, Any] = {
            "PipelineArn": self.info.pipeline_arn,
            "PipelineExecutionArn": self.info.arn,
            "PipelineExecutionStatus": self.status,
            "CreationTime": self.info.started,
            "LastModifiedTime": self.ended or time.time(),
        }
        if self.reason:
            shown["FailureReason"] = self.reason
        return shown

    def describe_steps(self) -> list[dict[str, Any]]:
        """What ListPipelineExecutionSteps answers: steps that started, in order of their start."""
        started = [record for record in self.steps.values() if record.started is not None]
        return [record.describe() for record in sorted(started, key=lambda r: r.started or 0.0)]
