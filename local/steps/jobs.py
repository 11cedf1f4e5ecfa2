"""Steps that are one SageMaker job: Processing, Training, Tuning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.errors import StepError, StoppedError
from local.jobs.processing import run_processing_job
from local.jobs.training import run_training_job
from local.jobs.tuning import run_tuning_job
from local.jobs.workspace import JobContext, JobResult, Workspace
from local.memory import MemoryMeter
from local.requests import check
from local.steps.base import StepContext, StepResult

RunJob = Callable[[Mapping[str, Any], Workspace, JobContext], JobResult]


@dataclass(frozen=True)
class JobRunner:
    """Names the job as SageMaker does, runs it and turns its status into a step's."""

    workspace: Workspace
    operation: str
    name_key: str
    status_key: str
    metadata_key: str
    arn_kind: str
    run_job: RunJob

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Run the job with the step's arguments; StepError with its FailureReason unless it completed."""
        request = {**arguments, self.name_key: context.job_name}
        check(self.operation, request)
        context.metadata[self.metadata_key] = {"Arn": self.workspace.arn(self.arn_kind, context.job_name)}
        job = JobContext(
            context.folder, context.stop, context.progress, context.note, MemoryMeter(self.workspace.meter)
        )
        try:
            result = self.run_job(request, self.workspace, job)
        except ClientError as error:
            code = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise StepError(str(error), "Step.SERVICE_FAULT" if code >= 500 else None) from error
        except BotoCoreError as error:
            raise StepError(str(error), "Step.SERVICE_FAULT") from error
        status = result.describe[self.status_key]
        if status == "Completed":
            return StepResult(result.describe, result.peak_mb)
        if context.stop.is_set():
            raise StoppedError
        raise StepError(str(result.describe.get("FailureReason", f"the job ended as {status}")))


def job_runners(
    workspace: Workspace,
    *,
    processing: RunJob = run_processing_job,
    training: RunJob = run_training_job,
    tuning: RunJob = run_tuning_job,
) -> dict[str, JobRunner]:
    """Step type -> runner, for all job steps; the functions run the jobs."""

    def runner(noun: str, metadata_key: str, arn_kind: str, run_job: RunJob) -> JobRunner:
        return JobRunner(workspace, f"Create{noun}", f"{noun}Name", f"{noun}Status", metadata_key, arn_kind, run_job)

    return {
        "Processing": runner("ProcessingJob", "ProcessingJob", "processing-job", processing),
        "Training": runner("TrainingJob", "TrainingJob", "training-job", training),
        "Tuning": runner("HyperParameterTuningJob", "TuningJob", "hyper-parameter-tuning-job", tuning),
    }
