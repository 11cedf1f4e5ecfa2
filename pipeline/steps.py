"""Job steps that carry an API request as plain data.

The SDK's own job steps want processors, trainers and tuners, which call AWS, read the clock and refuse CDK tokens.
These take the request itself and expose the Describe* response, so that a misspelt property fails when the
definition is built.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from pipeline import sdk

Request = dict[str, Any]


def _retries() -> list[sdk.RetryPolicy]:
    """Retries of a job: capacity and quotas for hours, throttling and faults for minutes.

    Exception types as in "Retry Policy for Pipeline Steps" of the SageMaker developer guide.
    """
    job = sdk.SageMakerJobExceptionTypeEnum
    call = sdk.StepExceptionTypeEnum
    return [
        sdk.SageMakerJobStepRetryPolicy(
            exception_types=[job.CAPACITY_ERROR, job.RESOURCE_LIMIT],
            interval_seconds=120,
            backoff_rate=2.0,
            expire_after_mins=360,
        ),
        sdk.SageMakerJobStepRetryPolicy(
            failure_reason_types=[job.INTERNAL_ERROR], interval_seconds=30, backoff_rate=2.0, max_attempts=3
        ),
        sdk.StepRetryPolicy(
            exception_types=[call.SERVICE_FAULT, call.THROTTLING],
            interval_seconds=10,
            backoff_rate=2.0,
            max_attempts=8,
        ),
    ]


class JobStep(sdk.ConfigurableRetryStep):  # type: ignore[misc]  # the SDK is not typed
    """A step that calls one SageMaker API with a request given as data."""

    step_type: sdk.StepTypeEnum
    shapes: ClassVar[list[str]]  # what `properties` looks like: botocore shapes of the Describe* response

    def __init__(
        self,
        name: str,
        request: Request,
        *,
        cache_days: int | None = None,
        property_files: Sequence[sdk.PropertyFile] = (),
        depends_on: Sequence[sdk.Step] = (),
    ) -> None:
        super().__init__(
            name, type(self).step_type, depends_on=list(depends_on) or None, retry_policies=self.retry_policies()
        )
        self.request = request
        self.cache_days = cache_days
        self.property_files = list(property_files)
        self._properties = sdk.Properties(step_name=name, step=self, shape_names=self.shapes)

    @staticmethod
    def retry_policies() -> list[sdk.RetryPolicy]:
        """What is tried again, and for how long."""
        return _retries()

    @property
    def arguments(self) -> Request:
        """The request, with pipeline variables where a value is only known when the step runs."""
        return self.request

    @property
    def properties(self) -> Any:
        """The Describe* response of the job; an unknown member raises AttributeError."""
        return self._properties

    def to_request(self) -> Request:
        """The step as it appears in the definition."""
        request: Request = super().to_request()
        if self.cache_days is not None:
            request |= sdk.CacheConfig(enable_caching=True, expire_after=f"P{self.cache_days}D").config
        if self.property_files:
            request["PropertyFiles"] = [file.expr for file in self.property_files]
        return request

    def output_uri(self, name: str) -> Any:
        """Where a processing job's output `name` went; KeyError when the request has no such output."""
        outputs = [output["OutputName"] for output in self.request["ProcessingOutputConfig"]["Outputs"]]
        if name not in outputs:
            raise KeyError(f"step '{self.name}' has no output '{name}'; it has {', '.join(outputs)}")
        return self.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


class ProcessingStep(JobStep):
    """CreateProcessingJob."""

    step_type = sdk.StepTypeEnum.PROCESSING
    shapes: ClassVar[list[str]] = ["DescribeProcessingJobResponse"]


class TrainingStep(JobStep):
    """CreateTrainingJob."""

    step_type = sdk.StepTypeEnum.TRAINING
    shapes: ClassVar[list[str]] = ["DescribeTrainingJobResponse"]


class TuningStep(JobStep):
    """CreateHyperParameterTuningJob. Its jobs are retried by their own RetryStrategy, not by the step."""

    step_type = sdk.StepTypeEnum.TUNING
    shapes: ClassVar[list[str]] = [
        "DescribeHyperParameterTuningJobResponse",
        "ListTrainingJobsForHyperParameterTuningJobResponse",
    ]


class RegisterStep(JobStep):
    """CreateModelPackage."""

    step_type = sdk.StepTypeEnum.REGISTER_MODEL
    shapes: ClassVar[list[str]] = ["DescribeModelPackageOutput"]

    @staticmethod
    def retry_policies() -> list[sdk.RetryPolicy]:
        """Registering runs no job, so only the call itself can fail."""
        return [policy for policy in _retries() if isinstance(policy, sdk.StepRetryPolicy)]


class InvokeStep(sdk.LambdaStep):  # type: ignore[misc]  # the SDK is not typed
    """Calls a Lambda function that exists; the SDK's class would update it, and warns when it cannot."""

    def __init__(
        self,
        name: str,
        function_arn: str,
        *,
        inputs: dict[str, Any],
        outputs: Sequence[str],
        depends_on: Sequence[sdk.Step] = (),
    ) -> None:
        self.function_arn = function_arn
        declared = [sdk.LambdaOutput(output) for output in outputs]
        super().__init__(name, lambda_func=None, inputs=inputs, outputs=declared, depends_on=list(depends_on) or None)

    def _get_function_arn(self) -> str:
        return self.function_arn
