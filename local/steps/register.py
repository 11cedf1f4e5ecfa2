"""RegisterModel steps: CreateModelPackage through the API, DescribeModelPackage as the outputs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from local.errors import StepError
from local.requests import check
from local.steps.base import StepContext, StepResult


@dataclass(frozen=True)
class RegisterRunner:
    """Registers packages with `sagemaker`, a boto3 client."""

    sagemaker: Any

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Create the package in its group, which must exist."""
        check("CreateModelPackage", arguments)
        try:
            arn = self.sagemaker.create_model_package(**arguments)["ModelPackageArn"]
            package = self.sagemaker.describe_model_package(ModelPackageName=arn)
        except ClientError as error:
            raise StepError(str(error)) from error
        context.progress(arn)
        return StepResult(wire(package))


def wire(answer: dict[str, Any]) -> dict[str, Any]:
    """A boto3 answer as it travelled: times as seconds, without the HTTP metadata."""
    return {key: _seconds(value) for key, value in answer.items() if key != "ResponseMetadata"}


def _seconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: _seconds(item) for key, item in value.items()}
    return [_seconds(item) for item in value] if isinstance(value, list) else value
