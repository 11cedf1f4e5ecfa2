"""Callback steps: a message to a queue, then a wait for whoever answers its token."""

import json
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.callbacks import Callbacks
from local.errors import StepError, StoppedError
from local.steps.base import StepContext, StepResult

_POLL_SECONDS = 0.1


class _AskedToStop(Exception):  # noqa: N818 - nothing went wrong
    """The execution stops, and whoever has the token does not know yet."""


@dataclass(frozen=True)
class CallbackRunner:
    """Sends through `sqs`, a boto3 client.

    `timeout_seconds` stands for SageMaker's seven days, `stopping_seconds` for its patience with whoever was told that
    the execution stops and has not answered yet (there it waits for ever).
    """

    sqs: Any
    callbacks: Callbacks
    timeout_seconds: float
    stopping_seconds: float = 60.0

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Send the message as SageMaker does and wait for the answer; StepError with the reason of a failure."""
        token = self.callbacks.open(context.execution.arn)
        queue = context.step.body["SqsQueueUrl"]
        shown = context.metadata["Callback"] = {"CallbackToken": token, "SqsQueueUrl": queue}
        message = {"token": token, "pipelineExecutionArn": context.execution.arn, "arguments": arguments}
        try:
            self._send(queue, {**message, "status": "Executing"})
            outputs = self._wait(token, context)
        except _AskedToStop as stopped:
            self._send(queue, {**message, "status": "Stopping"})
            self.callbacks.answer(token, self.stopping_seconds)
            raise StoppedError from stopped
        finally:
            self.callbacks.close(token)
        shown["OutputParameters"] = [{"Name": name, "Value": value} for name, value in outputs.items()]
        declared = [item["OutputName"] for item in context.step.body.get("OutputParameters", [])]
        missing = [name for name in declared if name not in outputs]
        if missing:
            raise StepError(f"the callback's answer {outputs} lacks the declared output {', '.join(missing)}")
        return StepResult({"OutputParameters": outputs})

    def _send(self, queue: str, message: dict[str, Any]) -> None:
        try:
            self.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
        except (BotoCoreError, ClientError) as error:
            raise StepError(f"the message could not be sent to {queue}: {error}") from error

    def _wait(self, token: str, context: StepContext) -> dict[str, str]:
        deadline = time.monotonic() + self.timeout_seconds
        while time.monotonic() < deadline:
            answer = self.callbacks.answer(token, _POLL_SECONDS)
            if answer is not None:
                outputs, reason = answer
                if outputs is None and context.stop.is_set():
                    raise StoppedError  # it was answered because of the stop
                if outputs is None:
                    raise StepError(reason)
                return outputs
            if context.stop.is_set():
                raise _AskedToStop
        raise StepError(f"nobody answered the callback token within {self.timeout_seconds:g} seconds")
