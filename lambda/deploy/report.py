"""Telling the outcome of a release: to the pipeline that waits for it, and to people."""

import hashlib
from typing import Any

import wording
from environment import Environment, log, short

_CLOSED = ("ResourceNotFound", "ValidationException", "ConflictException")


class Reporter:
    """Answers callback tokens and publishes notices."""

    def __init__(self, sagemaker: Any, sns: Any, environment: Environment) -> None:
        self._sagemaker = sagemaker
        self._sns = sns
        self._environment = environment

    def succeeded(self, token: str, package_arn: str) -> None:
        """Let the pipeline step succeed with the endpoint's name and the package as its outputs."""
        outputs = {"endpoint_name": self._environment.endpoint_name, "model_package_arn": package_arn}
        self._answer(
            "success",
            token,
            f"{wording.version_of(package_arn)} is in service",
            OutputParameters=[{"Name": name, "Value": value} for name, value in outputs.items()],
        )

    def failed(self, token: str, reason: str, *, late: bool = False) -> None:
        """Let the pipeline step fail with the reason, cut to what AWS takes. `late`: nobody may wait any more, which
        then is no news."""
        text = wording.cut(" ".join(reason.split()), wording.CALLBACK_LIMIT)
        self._answer("failure", token, reason, late=late, FailureReason=text)

    def notify(self, subject: str, text: str) -> None:
        """Publish a notice to people."""
        full = f"Tally {self._environment.endpoint_name}: {subject}"
        ascii_only = " ".join(full.encode("ascii", "replace").decode().split())
        self._sns.publish(
            TopicArn=self._environment.topic_arn, Subject=wording.cut(ascii_only, wording.SUBJECT_LIMIT), Message=text
        )

    def _answer(self, kind: str, token: str, outcome: str, *, late: bool = False, **content: Any) -> None:
        """Answer a token. One that was answered before, or whose run has ended, is a notice and no error: there is
        nothing that trying again could mend."""
        from botocore.exceptions import ClientError

        send = getattr(self._sagemaker, f"send_pipeline_execution_step_{kind}")
        # The same answer sent twice is one answer to AWS.
        request_token = hashlib.sha256(f"{kind}:{token}".encode()).hexdigest()
        try:
            send(CallbackToken=token, ClientRequestToken=request_token, **content)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _CLOSED:
                raise
            log("callback token closed", token=short(token), answer=kind, code=code, outcome=outcome)
            if late:
                return
            self.notify(
                "a pipeline did not wait for its release any more",
                f"{outcome}. The pipeline step that asked could not be told ({code}): its run has ended, or it was "
                f"answered already. The registry and the serving stack are as they should be; nothing is to be done.",
            )
        else:
            log("callback answered", token=short(token), answer=kind, outcome=outcome)
