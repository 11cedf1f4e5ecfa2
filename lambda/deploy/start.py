"""Begins releases: takes a message from the release queue and updates the serving stack. SQS calls it, one message at
a time, with partial batch responses (ReportBatchItemFailures): a busy stack is no error, the message comes back later.

Messages: a pipeline's callback, an approval event of the registry, or `finish` asking to take a release back. Any may
arrive twice, late or out of order. What keeps that harmless: a stack operation carries the token of who asked, so one
that has begun is never begun again; and an approval of what was in service when it was made asks for nothing.

IAM: cloudformation:DescribeStacks, DescribeStackEvents, UpdateStack, CancelUpdateStack on the serving stack (it updates
with its own CloudFormation role); sagemaker:DescribeModelPackage, UpdateModelPackage on model-package/GROUP/*;
sagemaker:DescribePipelineExecution, SendPipelineExecutionStepSuccess, SendPipelineExecutionStepFailure on pipeline/NAME
and pipeline/NAME/execution/*; sagemaker:InvokeEndpoint; sns:Publish; sqs:ReceiveMessage, DeleteMessage,
ChangeMessageVisibility, GetQueueAttributes; kms:Decrypt, GenerateDataKey on the key of queue and topic.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from environment import Clients, Environment, log, short
from messages import (
    Approval,
    Callback,
    MessageError,
    Received,
    Revert,
    approval_token,
    approved_version,
    is_release,
    read_record,
    revert_token,
)
from packages import (
    BASELINE,
    CHAMPION,
    NOTHING,
    RELEASE,
    REPLACES,
    RUN,
    VERDICT,
    Package,
    Registry,
    UnknownPackageError,
)
from report import Reporter
from smoke import SmokeTestError, smoke_test
from stack import Stack, StackBusyError, StackError
from wording import version_of

_CLOCKS = timedelta(minutes=5)  # clocks of two services may differ, and events carry whole seconds
_SOON = timedelta(seconds=5)
_LONGEST = timedelta(days=2)  # no update of a stack takes longer
_PASSING = (
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ConflictException",
)

clients = Clients()


class RefusedError(Exception):
    """This package may not go into service. The message says why and what to do."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, list[dict[str, str]]]:
    """Take the records; those to be tried again are listed in the answer."""
    starter = Starter(Environment.read(os.environ), clients)
    again = [record["messageId"] for record in event["Records"] if not starter.take(record)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in again]}


class Starter:
    """Begins releases of one environment."""

    def __init__(self, environment: Environment, aws: Clients) -> None:
        self._environment = environment
        self._aws = aws
        self._stack = Stack(aws.cloudformation, environment.stack_name)
        self._registry = Registry(aws.sagemaker, environment.group)
        self._reporter = Reporter(aws.sagemaker, aws.sns, environment)

    def take(self, record: Mapping[str, Any]) -> bool:
        """Do what a message asks for; False when it must be tried again later."""
        try:
            received = read_record(record)
        except MessageError as error:
            log("message dropped", reason=str(error))
            self._reporter.notify("a message of the release queue was dropped", str(error))
            return True
        try:
            self._carry_out(received)
        except StackBusyError as error:
            return self._later(received, str(error))
        except (RefusedError, UnknownPackageError) as error:
            self._give_up(received, str(error), refused=True)
        except StackError as error:
            self._give_up(received, str(error))
        except Exception as error:
            if _passing(error):
                return self._later(received, str(error))
            # What will fail the same way next time is told now: a pipeline would wait for its answer for days.
            log("error", kind=type(error).__name__, reason=str(error))
            self._give_up(received, f"the release could not be started: {error}")
        return True

    def _carry_out(self, received: Received) -> None:
        message = received.message
        if isinstance(message, Approval):
            self._approved(message)
        elif isinstance(message, Revert):
            self._take_back(message)
        elif message.stopping:
            self._stop(message)
        else:
            self._release_for_run(message)

    def _release_for_run(self, message: Callback) -> None:
        status = self._aws.sagemaker.describe_pipeline_execution(PipelineExecutionArn=message.run_arn)
        if status["PipelineExecutionStatus"] != "Executing":
            reason = f"its run is {status['PipelineExecutionStatus']}, so the release was not begun"
            self._reporter.failed(message.token, reason, late=True)
            return
        package = self._registry.get(message.package_arn)
        self._check(package)
        if package.approval == "Rejected":
            raise RefusedError(f"{package.name} was rejected: {package.description or 'no reason given'}")
        if self._stack.began(message.token, message.sent - _CLOCKS):
            log("release has begun already", token=short(message.token), package=package.name)
            return
        if not self._release(package, message.token, message.run_arn):
            self._serves_already(package, message.token)

    def _approved(self, message: Approval) -> None:
        if message.changed is not None and "ModelApprovalStatus" not in message.changed:
            return  # something else of an approved package was updated
        try:
            package = self._registry.get(message.package_arn)
        except UnknownPackageError as error:
            log("approval ignored", reason=str(error))
            return
        if package.approval != "Approved":
            log("approval was withdrawn", package=package.name, approval=package.approval)
            return
        self._check(package)
        token = approval_token(package.version, message.event_id)
        operations = [item for item in self._stack.operations(message.time - _LONGEST) if is_release(item.token)]
        if any(item.token == token for item in operations):
            log("release has begun already", token=token, package=package.name)
            return
        before = [item for item in operations if item.began <= message.time + _SOON]
        if before and before[0].took_effect and _releases(before[0].token, package):
            log("was in service when it was approved", token=token, package=package.name)
            return
        if not self._release(package, token):
            log("is in service already", token=token, package=package.name)

    def _release(self, package: Package, token: str, run_arn: str = NOTHING) -> bool:
        """Begin to put a package into service; False when it is there already."""
        state = self._stack.state()
        state.require_ready()
        if state.package_arn == package.arn:
            return False
        if run_arn != NOTHING:
            _check_champion(package, state.package_arn)
        note = {RELEASE: token, REPLACES: state.package_arn or NOTHING, RUN: run_arn}
        self._registry.remember(package, **note)
        self._stack.put_in_service(package.arn, token)
        log("release begun", token=short(token), package=package.name, replaces=state.package_arn)
        return True

    def _serves_already(self, package: Package, token: str) -> None:
        try:
            count = smoke_test(self._aws.runtime, self._environment.endpoint_name)
        except SmokeTestError as error:
            reason = f"{package.name} is in service already and fails the smoke test: {error}"
            self._reporter.failed(token, reason)
            self._reporter.notify("the model in service fails the smoke test", f"{reason}. Approve another version.")
            return
        if package.approval != "Approved":
            self._registry.mark(package, "Approved", f"was in service already; smoke test counted {count}")
        self._reporter.succeeded(token, package.arn)

    def _take_back(self, message: Revert) -> None:
        token = revert_token(message.token)
        if self._stack.began(token, message.sent - _CLOCKS):
            return
        state = self._stack.state()
        state.require_ready()
        if state.package_arn != message.package_arn:
            log("nothing to take back", token=short(message.token), in_service=state.package_arn)
            return
        self._stack.put_in_service(message.previous_arn, token)
        log("taking back", package=message.package_arn, previous=message.previous_arn)

    def _stop(self, message: Callback) -> None:
        cancelled = self._stack.cancel(message.token)
        log("run is stopping", token=short(message.token), cancelled=cancelled)
        ending = "its update of the serving stack is rolled back" if cancelled else "no update of the stack was running"
        self._reporter.failed(message.token, f"stopped: {ending}")

    def _check(self, package: Package) -> None:
        verdict = package.metadata.get(VERDICT)
        if verdict != "promote":
            raise RefusedError(
                f"{package.name} has the gate verdict {verdict!r}; only packages with 'promote' go into service. "
                f"Train and judge it with the pipeline"
            )
        if package.status != "Completed":
            raise RefusedError(f"{package.name} is {package.status} in the registry; register it again")

    def _later(self, received: Received, reason: str) -> bool:
        """Hide the message for a while; give up after the last attempt."""
        if received.attempt >= self._environment.max_attempts:
            self._give_up(received, f"{reason}, after {received.attempt} attempts; approve the package to try again")
            return True
        self._aws.sqs.change_message_visibility(
            QueueUrl=self._environment.queue_url,
            ReceiptHandle=received.receipt,
            VisibilityTimeout=self._environment.busy_retry_seconds,
        )
        log("trying again later", reason=reason, attempt=received.attempt)
        return False

    def _give_up(self, received: Received, reason: str, *, refused: bool = False) -> None:
        """Tell who asked. A package that a person approved is marked; one that a run registered keeps its approval,
        unless it is the package's own fault."""
        message = received.message
        log("release refused" if refused else "release given up", reason=reason, attempt=received.attempt)
        if isinstance(message, Callback):
            self._reporter.failed(message.token, reason)
        elif isinstance(message, Approval):
            self._unmark(message.package_arn, reason, "Rejected" if refused else "PendingManualApproval")
            self._reporter.notify("an approved model did not go into service", f"{reason}.")
        else:
            self._reporter.notify(
                "a model that failed its smoke test is still in service",
                f"{message.package_arn} could not be taken back: {reason}. Approve the version that should serve.",
            )

    def _unmark(self, package_arn: str, reason: str, approval: str) -> None:
        try:
            self._registry.mark(self._registry.get(package_arn), approval, reason)
        except Exception as error:  # the notice that follows matters more than the mark
            log("package not marked", package=package_arn, reason=str(error))


def _check_champion(package: Package, in_service: str) -> None:
    """A run's release replaces the model it was compared with, and no other: while it waited, a person or another run
    may have put a better one there. A person may still choose it."""
    champion = package.metadata.get(CHAMPION)
    served = version_of(in_service) if in_service else BASELINE
    if champion is not None and champion != served:
        raise RefusedError(
            f"{package.name} was compared with {champion}, but {served} is in service now; run the pipeline again, or "
            f"approve the package to release it all the same"
        )


def _releases(token: str, package: Package) -> bool:
    """Whether an operation with this token puts the package into service."""
    return token == package.metadata.get(RELEASE) or approved_version(token) == package.version


def _passing(error: Exception) -> bool:
    """Whether an error of AWS or of the way there may be gone next time."""
    from botocore.exceptions import ClientError, HTTPClientError

    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in _PASSING
    return isinstance(error, HTTPClientError)
