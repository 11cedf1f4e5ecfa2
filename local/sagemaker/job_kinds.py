"""What tells the three kinds of jobs apart in the API."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JobKind:
    """A kind of job. `words` is what messages call it; `start_key` its member with the time of its start, if any."""

    noun: str
    arn_kind: str
    words: str
    event: str
    start_key: str

    @property
    def name_key(self) -> str:
        """Member of requests and answers with the job's name."""
        return f"{self.noun}Name"

    @property
    def arn_key(self) -> str:
        """Member with the ARN."""
        return f"{self.noun}Arn"

    @property
    def status_key(self) -> str:
        """Member with the status."""
        return f"{self.noun}Status"

    @property
    def list_key(self) -> str:
        """Member of a List answer with the jobs."""
        return f"{self.noun}Summaries"


PROCESSING = JobKind(
    "ProcessingJob", "processing-job", "processing job", "SageMaker Processing Job State Change", "ProcessingStartTime"
)
TRAINING = JobKind(
    "TrainingJob", "training-job", "training job", "SageMaker Training Job State Change", "TrainingStartTime"
)
TUNING = JobKind(
    "HyperParameterTuningJob",
    "hyper-parameter-tuning-job",
    "tuning job",
    "SageMaker HyperParameter Tuning Job State Change",
    "",
)
KINDS = (PROCESSING, TRAINING, TUNING)
