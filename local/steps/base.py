"""What the engine and the kinds of steps agree on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local.definition import Step
from local.events import Event, Listener
from local.stopping import StopSignal


@dataclass(frozen=True)
class ExecutionInfo:
    """Names of one pipeline execution, as execution variables show them."""

    pipeline_name: str
    execution_id: str
    started: float
    region: str = "eu-west-1"
    account: str = "123456789012"

    @property
    def pipeline_arn(self) -> str:
        """ARN of the pipeline."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:pipeline/{self.pipeline_name.lower()}"

    @property
    def arn(self) -> str:
        """ARN of the execution."""
        return f"{self.pipeline_arn}/execution/{self.execution_id}"


@dataclass(frozen=True)
class StepContext:
    """Where and for whom a step runs. `attempt` counts from 1; a runner writes into `metadata` what
    ListPipelineExecutionSteps shows of its kind, such as the ARN of its job, as soon as it knows it."""

    execution: ExecutionInfo
    step: Step
    folder: Path
    stop: StopSignal
    listen: Listener
    attempt: int = 1
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def job_name(self) -> str:
        """Name of the step's job, unique per execution and attempt; at most 32 characters, so that a tuning job may
        carry it (CreateHyperParameterTuningJob's limit) and its trials may add a number."""
        return f"{self.step.name[:15]}-{self.execution.execution_id}-{self.attempt}"

    def progress(self, text: str) -> None:
        """Tell the listener how far the step is."""
        self.listen(Event("progress", self.step.name, text))

    def note(self, text: str) -> None:
        """Tell the listener something that a person should know."""
        self.listen(Event("note", self.step.name, text))


@dataclass(frozen=True)
class StepResult:
    """What a step hands to later steps: `outputs` has the Describe* shape that `Steps.NAME...` expressions walk."""

    outputs: Mapping[str, Any]
    peak_mb: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class StepRunner(Protocol):
    """Runs one kind of step. Raises StepError with the reason, or StoppedError."""

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Run the step with its resolved arguments."""
        ...
