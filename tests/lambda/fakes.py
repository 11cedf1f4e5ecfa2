"""What moto lacks: CloudFormation's updates with tokens and rollback, callback answers, endpoints that answer.

Requests are checked by botocore's own models, refusals have the codes and texts of AWS.
"""

import io
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

ACCOUNT = "arn:aws:{}:eu-west-1:123456789012:"
STACK_ID = f"{ACCOUNT.format('cloudformation')}stack/tally-dev-serving/76b5b9b0-1111-2222-3333-0a1b2c3d4e5f"
PACKAGES = f"{ACCOUNT.format('sagemaker')}model-package/tally-dev/"
_MODELS = {
    name: botocore.session.get_session().get_service_model(name)
    for name in ("cloudformation", "sagemaker", "sagemaker-runtime")
}


def check(service: str, operation: str, request: dict[str, Any]) -> None:
    validate_parameters(request, _MODELS[service].operation_model(operation).input_shape)


def refusal(operation: str, code: str, message: str, status: int = 400, **fields: Any) -> ClientError:
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **fields}
    return ClientError(error, operation)  # type: ignore[arg-type]


class CloudFormation:
    """One stack. `begin` and `end` move it; `update_stack` begins with the caller's token."""

    def __init__(self, page_size: int = 4) -> None:
        self.status = "UPDATE_COMPLETE"
        self.parameters = {"BootstrapVersion": "/cdk-bootstrap/hnb659fds/version", "ModelPackageArn": ""}
        self.updates: list[dict[str, Any]] = []
        self.cancelled: list[str | None] = []
        self.before_update: Any = None  # called first: what somebody else does a moment earlier
        self._events: list[dict[str, Any]] = []
        self._previous = dict(self.parameters)
        self._token: str | None = None
        self._page_size = page_size
        self._clock = itertools.count()
        self.now = datetime.now(UTC)

    def advance(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)

    def begin(self, token: str | None, arn: str | None = None) -> None:
        self._previous, self._token = dict(self.parameters), token
        if arn is not None:
            self.parameters["ModelPackageArn"] = arn
        self._set("UPDATE_IN_PROGRESS", "User Initiated")

    def end(self, status: str = "UPDATE_COMPLETE") -> None:
        if status.startswith("UPDATE_ROLLBACK"):
            self._set("UPDATE_ROLLBACK_IN_PROGRESS")
            self.parameters = dict(self._previous)
        self._set(status)

    def resource(self, logical_id: str, status: str, reason: str = "") -> None:
        self._record(logical_id, f"physical-{logical_id}", "AWS::SageMaker::Endpoint", status, reason)

    def describe_stacks(self, **request: Any) -> dict[str, Any]:
        check("cloudformation", "DescribeStacks", request)
        if self.status == "":
            text = f"Stack with id {request['StackName']} does not exist"
            raise refusal("DescribeStacks", "ValidationError", text)
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        return {"Stacks": [{"StackId": STACK_ID, "StackStatus": self.status, "Parameters": parameters}]}

    def update_stack(self, **request: Any) -> dict[str, Any]:
        check("cloudformation", "UpdateStack", request)
        if self.before_update:
            self.before_update()
        if not self.status.endswith("_COMPLETE") or self.status == "ROLLBACK_COMPLETE":
            text = f"Stack:{STACK_ID} is in {self.status} state and can not be updated."
            raise refusal("UpdateStack", "ValidationError", text)
        given = {item["ParameterKey"]: item for item in request["Parameters"]}
        assert set(given) == set(self.parameters), "a parameter that is left out would fall back to its default"
        assert given["BootstrapVersion"].get("UsePreviousValue")
        arn = given["ModelPackageArn"]["ParameterValue"]
        if arn == self.parameters["ModelPackageArn"]:
            raise refusal("UpdateStack", "ValidationError", "No updates are to be performed.")
        self.updates.append(request)
        self.begin(request["ClientRequestToken"], arn)
        return {"StackId": STACK_ID}

    def cancel_update_stack(self, **request: Any) -> None:
        check("cloudformation", "CancelUpdateStack", request)
        if self.status != "UPDATE_IN_PROGRESS":
            text = "CancelUpdateStack cannot be called from current stack status"
            raise refusal("CancelUpdateStack", "ValidationError", text)
        self.cancelled.append(request.get("ClientRequestToken"))
        self._token = request.get("ClientRequestToken")  # the rollback's events carry it

    def get_paginator(self, name: str) -> Any:
        assert name == "describe_stack_events"
        return self

    def paginate(self, **request: Any) -> Any:
        check("cloudformation", "DescribeStackEvents", request)
        newest_first = self._events[::-1]
        for start in range(0, max(len(newest_first), 1), self._page_size):
            yield {"StackEvents": newest_first[start : start + self._page_size]}

    def _set(self, status: str, reason: str = "") -> None:
        self.status = status
        self._record("tally-dev-serving", STACK_ID, "AWS::CloudFormation::Stack", status, reason)

    def _record(self, logical_id: str, physical_id: str, kind: str, status: str, reason: str) -> None:
        event = {
            "StackId": STACK_ID,
            "EventId": f"event-{len(self._events)}",
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical_id,
            "ResourceType": kind,
            "ResourceStatus": status,
            "Timestamp": self.now + timedelta(milliseconds=next(self._clock)),
        }
        if reason:
            event["ResourceStatusReason"] = reason
        if self._token:
            event["ClientRequestToken"] = self._token
        self._events.append(event)


class SageMaker:
    """moto's registry, merging updates as AWS does, with runs and callback tokens. `events`: approvals it emitted."""

    def __init__(self, client: Any, cloudformation: CloudFormation) -> None:
        self._client = client
        self._cloudformation = cloudformation
        self.runs: dict[str, str] = {}
        self.open_tokens: set[str] = set()
        self.answers: list[tuple[str, str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_model_package(self, **request: Any) -> dict[str, Any]:
        before = self._client.describe_model_package(ModelPackageName=request["ModelPackageArn"])
        merged = {
            "ModelApprovalStatus": before["ModelApprovalStatus"],
            "ApprovalDescription": before.get("ApprovalDescription") or "",
            **request,
            "CustomerMetadataProperties": {
                **(before.get("CustomerMetadataProperties") or {}),
                **request.get("CustomerMetadataProperties", {}),
            },
        }
        answer: dict[str, Any] = self._client.update_model_package(**merged)
        if merged["ModelApprovalStatus"] == "Approved":
            self.events.append(self.approval(request["ModelPackageArn"], sorted(set(request) - {"ModelPackageArn"})))
        return answer

    def approval(self, arn: str, changed: list[str]) -> dict[str, Any]:
        """The event of an update of an approved package, of this moment of the stack's clock."""
        clock = self._cloudformation
        detail = {"ModelPackageGroupName": "tally-dev", "ModelPackageArn": arn, "ModelApprovalStatus": "Approved"}
        return {
            "id": f"{len(self.events):08d}-85d4-695f-b930-0153b71dcb42",
            "time": clock.now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "detail-type": "SageMaker Model Package State Change",
            "detail": {**detail, "UpdatedModelPackageFields": changed},
        }

    def describe_pipeline_execution(self, **request: Any) -> dict[str, Any]:
        check("sagemaker", "DescribePipelineExecution", request)
        return {"PipelineExecutionStatus": self.runs[request["PipelineExecutionArn"]]}

    def send_pipeline_execution_step_success(self, **request: Any) -> None:
        self._answer("Success", request, {item["Name"]: item["Value"] for item in request["OutputParameters"]})

    def send_pipeline_execution_step_failure(self, **request: Any) -> None:
        assert len(request["FailureReason"]) <= 256
        self._answer("Failure", request, request["FailureReason"])

    def _answer(self, kind: str, request: dict[str, Any], content: Any) -> None:
        operation = f"SendPipelineExecutionStep{kind}"
        check("sagemaker", operation, request)
        token = request["CallbackToken"]
        if token not in self.open_tokens:
            raise refusal(operation, "ResourceNotFound", f"Callback token {token} does not exist or is expired.")
        self.open_tokens.remove(token)
        self.answers.append((kind, token, content))


class Runtime:
    """An endpoint. `answer`: bytes of the model's answer, or the error that InvokeEndpoint raises."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = json.dumps({"count": 3, "confidence": 0.9}).encode()
        self.requests: list[dict[str, Any]] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        check("sagemaker-runtime", "InvokeEndpoint", request)
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"Body": io.BytesIO(self.answer), "ContentType": "application/json"}
