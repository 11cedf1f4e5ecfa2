"""EventBridge events of executions and their steps."""

from collections.abc import Mapping
from typing import Any

from local.events import Event
from local.execution import Execution
from local.sagemaker.packages import Emit, iso

_EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
_STEP = "SageMaker Model Building Pipeline Execution Step Status Change"
_STATUSES = {"started": "Executing", "succeeded": "Succeeded", "failed": "Failed", "stopped": "Stopped"}


class ExecutionEvents:
    """Tells EventBridge what happens in one execution."""

    def __init__(self, emit: Emit):
        self._emit = emit
        self._before: dict[str, str] = {}

    def execution(self, execution: Execution, described: Mapping[str, Any]) -> None:
        """The execution started or ended."""
        status = described["PipelineExecutionStatus"]
        detail = {
            "pipelineExecutionDisplayName": described["PipelineExecutionDisplayName"],
            "pipelineExecutionDescription": described.get("PipelineExecutionDescription"),
            "currentPipelineExecutionStatus": status,
            "previousPipelineExecutionStatus": self._before.get("", status),
            "executionStartTime": iso(execution.info.started),
            "executionEndTime": iso(execution.ended) if execution.ended else None,
            "pipelineArn": execution.info.pipeline_arn,
            "pipelineExecutionArn": execution.info.arn,
        }
        self._before[""] = status
        self._send(_EXECUTION, detail, execution)

    def step(self, execution: Execution, event: Event) -> None:
        """Something happened to a step; only changes of its status are told."""
        status = _STATUSES.get(event.kind)
        if status is None or event.step not in execution.steps:
            return
        record = execution.steps[event.step]
        detail = {
            "metadata": {key[0].lower() + key[1:]: _lower(value) for key, value in record.metadata.items()},
            "stepName": record.name,
            "stepType": record.type,
            "stepStartTime": iso(record.started) if record.started else None,
            "stepEndTime": iso(record.ended) if record.ended else None,
            "currentStepStatus": status,
            "previousStepStatus": self._before.get(record.name, "Starting"),
            "failureReason": record.describe().get("FailureReason"),
            "pipelineArn": execution.info.pipeline_arn,
            "pipelineExecutionArn": execution.info.arn,
        }
        self._before[record.name] = status
        self._send(_STEP, detail, execution)

    def _send(self, kind: str, detail: Mapping[str, Any], execution: Execution) -> None:
        told = {key: value for key, value in detail.items() if value is not None}
        self._emit("aws.sagemaker", kind, told, [execution.info.pipeline_arn, execution.info.arn])


def _lower(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key[0].lower() + key[1:]: _lower(item) for key, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value
