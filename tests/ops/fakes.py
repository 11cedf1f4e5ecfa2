"""SageMaker at boto3's border, for what moto lacks: answers are checked against botocore's own model."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

BEGAN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PIPELINE = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev"

_MODEL = boto3.client("sagemaker", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b").meta


def step(name: str, status: str, start: float, end: float | None = None, **more: Any) -> dict[str, Any]:
    """A step of ListPipelineExecutionSteps; times in seconds after the run began."""
    found = {"StepName": name, "StepStatus": status, "StartTime": BEGAN + timedelta(seconds=start), **more}
    return found | ({} if end is None else {"EndTime": BEGAN + timedelta(seconds=end)})


class FakeSageMaker:
    """Runs by id. `looks` of a run are what it answers one after the other; the last stays."""

    def __init__(self) -> None:
        self.looks: dict[str, list[dict[str, Any]]] = {}
        self.parameters: dict[str, dict[str, str]] = {}
        self.stopped: list[str] = []
        self.on_list: Callable[[], None] = lambda: None

    def run(self, id_: str, *looks: tuple[str, list[dict[str, Any]]], **parameters: str) -> str:
        """Add a run that shows these (status, steps) one after the other; its ARN."""
        self.looks[id_] = [{"status": status, "steps": steps} for status, steps in looks]
        self.parameters[id_] = {"InputPrefix": "photos", **parameters}
        return f"{PIPELINE}/execution/{id_}"

    def list_pipeline_executions(self, **request: Any) -> dict[str, Any]:
        self.on_list()
        summaries = [
            {
                "PipelineExecutionArn": f"{PIPELINE}/execution/{id_}",
                "PipelineExecutionStatus": looks[0]["status"],
                "PipelineExecutionDisplayName": f"run-{id_}",
                "StartTime": BEGAN,
            }
            for id_, looks in reversed(self.looks.items())
        ]
        return _answer("ListPipelineExecutions", request, PipelineExecutionSummaries=summaries[: request["MaxResults"]])

    def describe_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        status = self._look(request, "DescribePipelineExecution")["status"]
        return _answer(
            "DescribePipelineExecution",
            request,
            PipelineExecutionArn=request["PipelineExecutionArn"],
            PipelineExecutionDisplayName="run",
            PipelineExecutionStatus=status,
            CreationTime=BEGAN,
            LastModifiedTime=BEGAN + timedelta(seconds=60),
            **({"FailureReason": "a step failed"} if status == "Failed" else {}),
        )

    def list_pipeline_execution_steps(self, **request: Any) -> dict[str, Any]:
        """Newest first, and one to a page, so that order and pages matter; moves the run on to its next look."""
        look = self._look(request, "ListPipelineExecutionSteps")
        first = int(request.get("NextToken", 0))
        found = look["steps"][::-1]
        more = {"NextToken": str(first + 1)} if first + 1 < len(found) else {}
        if not more:
            looks = self.looks[request["PipelineExecutionArn"].rsplit("/", 1)[-1]]
            del looks[: len(looks) > 1]
        steps = found[first : first + 1]
        return _answer("ListPipelineExecutionSteps", request, PipelineExecutionSteps=steps, **more)

    def list_pipeline_parameters_for_execution(self, **request: Any) -> dict[str, Any]:
        given = self.parameters[request["PipelineExecutionArn"].rsplit("/", 1)[-1]]
        pairs = [{"Name": name, "Value": value} for name, value in given.items()]
        return _answer("ListPipelineParametersForExecution", request, PipelineParameters=pairs)

    def stop_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        self.stopped.append(request["PipelineExecutionArn"])
        return _answer("StopPipelineExecution", request, PipelineExecutionArn=request["PipelineExecutionArn"])

    def describe_hyper_parameter_tuning_job(self, **request: Any) -> dict[str, Any]:
        assert request == {"HyperParameterTuningJobName": "tune-1"}
        return {
            "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 12}},
            "TrainingJobStatusCounters": {"Completed": 3, "InProgress": 2},
        }

    def _look(self, request: dict[str, Any], operation: str) -> dict[str, Any]:
        id_ = request["PipelineExecutionArn"].rsplit("/", 1)[-1]
        if id_ not in self.looks:
            error = {"Code": "ResourceNotFound", "Message": f"Pipeline execution {id_} does not exist"}
            raise ClientError({"Error": error}, operation)
        return self.looks[id_][0]


def _answer(operation: str, request: dict[str, Any], **answer: Any) -> dict[str, Any]:
    model = _MODEL.service_model.operation_model(operation)
    validate_parameters(request, model.input_shape)
    validate_parameters(answer, model.output_shape)
    return answer
