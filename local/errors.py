"""What can end a run early: something a person can mend, a step that failed, a request to stop."""


class LocalError(Exception):
    """The run cannot start or go on. The message names the object, the bad value and the remedy."""


class StepError(Exception):
    """A step failed. `reason` is what SageMaker calls FailureReason; `kind` is the exception type that a step's
    RetryPolicies can name (for example `SageMaker.JOB_INTERNAL_ERROR`), None when no policy may retry it."""

    def __init__(self, reason: str, kind: str | None = None):
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class StoppedError(Exception):
    """A step ended because the execution was asked to stop."""
