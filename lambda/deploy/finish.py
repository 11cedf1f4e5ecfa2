"""Ends releases: EventBridge calls it when an operation on the serving stack has ended.

A release that took effect is smoke-tested: the package is approved and the pipeline told, or the package is rejected
and `start` asked to take it back. A release that was rolled back is reported with CloudFormation's first reason.
Operations that are no release, such as `cdk deploy`, are left alone. An event may arrive twice, or after the next
release has begun; a package judged once keeps its judgement.

IAM: cloudformation:DescribeStacks, DescribeStackEvents on the serving stack; sagemaker:DescribeModelPackage,
UpdateModelPackage on model-package/GROUP/*; sagemaker:ListModelPackages on model-package-group/GROUP;
sagemaker:DescribePipelineExecution, SendPipelineExecutionStepSuccess, SendPipelineExecutionStepFailure on pipeline/NAME
and pipeline/NAME/execution/*; sagemaker:InvokeEndpoint; sns:Publish; sqs:SendMessage on the release queue;
kms:Decrypt, GenerateDataKey on the key of queue and topic.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import history
import wording
from environment import Clients, Environment, log, short
from messages import Revert, approved_version, is_callback, is_release, reverted_token
from packages import NOTHING, RELEASE, RUN, Package, Registry, UnknownPackageError
from report import Reporter
from smoke import SmokeTestError, smoke_test
from stack import Stack

_LONGEST = timedelta(days=2)  # no update of a stack takes longer

clients = Clients()


@dataclass(frozen=True)
class Ended:
    """The end of a stack operation, as the event tells it."""

    stack_id: str
    token: str
    status: str
    reason: str
    time: datetime

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "Ended":
        """Read a "CloudFormation Stack Status Change" event."""
        detail = event["detail"]
        details = detail["status-details"]
        return cls(
            stack_id=detail["stack-id"],
            token=detail.get("client-request-token") or "",
            status=details["status"],
            reason=details.get("status-reason") or "",
            time=datetime.fromisoformat(event["time"]),
        )


def handler(event: Mapping[str, Any], _context: object = None) -> None:
    """Judge the release that has ended, if it was one."""
    environment = Environment.read(os.environ)
    ended = Ended.read(event)
    if f":stack/{environment.stack_name}/" not in ended.stack_id or not is_release(ended.token):
        log("no release", stack=ended.stack_id, status=ended.status)
        return
    finisher = Finisher(environment, clients)
    if reverted_token(ended.token):
        finisher.taken_back(ended)
    elif ended.status == "UPDATE_COMPLETE":
        finisher.took_effect(ended)
    elif ended.status in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"):
        finisher.failed(ended)


class Finisher:
    """Ends releases of one environment."""

    def __init__(self, environment: Environment, aws: Clients) -> None:
        self._environment = environment
        self._aws = aws
        self._stack = Stack(aws.cloudformation, environment.stack_name)
        self._registry = Registry(aws.sagemaker, environment.group)
        self._reporter = Reporter(aws.sagemaker, aws.sns, environment)

    def took_effect(self, ended: Ended) -> None:
        """Smoke-test what is in service now; approve it, or reject it and have it taken back."""
        in_service = self._stack.state().package_arn
        package = self._package(ended, in_service)
        if package is None or package.arn != in_service:
            self._superseded(ended, package, in_service)
            return
        if package.approval == "Rejected":  # by this function, which was then cut off, or by a person meanwhile
            self._take_back(ended, package, package.description)
            return
        try:
            count = smoke_test(self._aws.runtime, self._environment.endpoint_name)
        except SmokeTestError as error:
            reason = f"{package.name} failed the smoke test and is taken out of service: {error}"
            self._registry.mark(package, "Rejected", reason)
            self._take_back(ended, package, reason)
            return
        log("release is in service", token=short(ended.token), package=package.name, count=count)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        # Said of a package that a person approved as well: whoever did waits for the smoke test.
        self._registry.mark(package, "Approved", f"in service since {when}; smoke test counted {count}")
        if is_callback(ended.token):
            self._reporter.succeeded(ended.token, package.arn)
        else:
            self._reporter.notify(f"{package.name} is in service", f"{package.name} was approved and is in service.")

    def failed(self, ended: Ended) -> None:
        """Report a release that the stack undid."""
        events = self._stack.events(ended.time - _LONGEST)
        cause = history.first_failure(events, ended.token) or ended.reason or "no reason was given"
        package = self._package(ended, "")
        name = package.name if package else "the package"
        reason = f"{name} did not go into service: {cause}"
        if ended.status != "UPDATE_ROLLBACK_COMPLETE":
            stack = self._environment.stack_name
            remedy = f"run `aws cloudformation continue-update-rollback --stack-name {stack}`, then approve again"
            reason = f"{name} did not go into service and {stack} is {ended.status} ({remedy}): {cause}"
        log("release failed", token=short(ended.token), package=name, reason=reason)
        if package is not None and self._was_stopped(package):
            return  # not the package's fault, and `start` has answered the run
        if package is not None:
            self._registry.mark(package, "Rejected", reason)
        if is_callback(ended.token):
            self._reporter.failed(ended.token, reason)
        in_service = wording.version_of(self._stack.state().package_arn)
        self._reporter.notify(f"the release of {name} failed", f"{reason}. In service: {in_service}.")

    def taken_back(self, ended: Ended) -> None:
        """Tell people how taking a release back ended."""
        if ended.status == "UPDATE_COMPLETE":
            text = f"In service again: {wording.version_of(self._stack.state().package_arn)}."
            self._reporter.notify("the release was taken back", text)
            return
        events = self._stack.events(ended.time - _LONGEST)
        cause = history.first_failure(events, ended.token) or ended.reason
        self._reporter.notify(
            "a model that failed its smoke test is still in service",
            f"Taking it back failed, the stack is {ended.status}: {cause}. Approve the version that should serve.",
        )

    def _take_back(self, ended: Ended, package: Package, reason: str) -> None:
        revert = Revert(ended.token, package.arn, package.replaces, ended.time)
        self._aws.sqs.send_message(QueueUrl=self._environment.queue_url, MessageBody=revert.body())
        log("release failed its smoke test", token=short(ended.token), package=package.name, reason=reason)
        if is_callback(ended.token):
            self._reporter.failed(ended.token, reason)
        self._reporter.notify(f"{package.name} failed its smoke test", f"{reason}. It is being taken back.")

    def _superseded(self, ended: Ended, package: Package | None, in_service: str) -> None:
        """The next release has begun. Repeat the judgement of this one; without one, nobody knows whether it works."""
        name = package.name if package else "the package"
        log("release superseded", token=short(ended.token), package=name, in_service=in_service)
        if not is_callback(ended.token):
            return
        if package is not None and package.approval == "Approved":
            self._reporter.succeeded(ended.token, package.arn)
        elif package is not None and package.approval == "Rejected":
            self._reporter.failed(ended.token, package.description)
        else:
            later = wording.version_of(in_service)
            reason = f"{name} was replaced by {later} before its smoke test; approve it to release it again"
            self._reporter.failed(ended.token, reason)

    def _package(self, ended: Ended, likely: str) -> Package | None:
        """The package that the operation released; `likely` saves a search. None when it is gone."""
        version = approved_version(ended.token)
        try:
            if version is not None:
                prefix = ended.stack_id.partition(":stack/")[0].replace(":cloudformation:", ":sagemaker:")
                return self._registry.get(f"{prefix}:model-package/{self._environment.group}/{version}")
            if likely:
                package = self._registry.get(likely)
                if package.metadata.get(RELEASE) == ended.token:
                    return package
        except UnknownPackageError as error:
            log("package not found", reason=str(error))
        return None if version is not None else self._registry.released_by(ended.token)

    def _was_stopped(self, package: Package) -> bool:
        """Whether the run that asked for the release was stopped by somebody: not the package's fault."""
        run = package.metadata.get(RUN, NOTHING)
        if run == NOTHING:
            return False
        status = self._aws.sagemaker.describe_pipeline_execution(PipelineExecutionArn=run)["PipelineExecutionStatus"]
        return status in ("Stopping", "Stopped")
