"""The serving stack: what state it is in, which model its parameter names, and putting another one there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import history

PARAMETER = "ModelPackageArn"
_READY = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
_MAX_PAGES = 50


class StackBusyError(Exception):
    """Another operation on the stack is under way: try again later."""


class StackError(Exception):
    """The stack cannot take a release. The message says what a person must do."""


@dataclass(frozen=True)
class State:
    """The stack now. `package_arn` is its parameter, "" for no model in service."""

    name: str
    status: str
    package_arn: str
    parameters: tuple[str, ...]

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def require_ready(self) -> None:
        """StackBusyError while an operation is under way, StackError with the remedy when none can begin."""
        if self.busy:
            raise StackBusyError(f"the serving stack {self.name} is busy: {self.status}")
        if self.status not in _READY:
            raise StackError(f"the serving stack {self.name} is {self.status}: {_remedy(self.name, self.status)}")


class Stack:
    """The serving stack by name."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self._cloudformation = cloudformation
        self.name = name

    def state(self) -> State:
        """Describe the stack; StackError when it does not exist."""
        from botocore.exceptions import ClientError

        try:
            stacks = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":  # its only one here: no such stack
                raise
            raise StackError(f"the serving stack {self.name} does not exist: deploy it first") from error
        parameters = {item["ParameterKey"]: item.get("ParameterValue", "") for item in stacks[0].get("Parameters", [])}
        if PARAMETER not in parameters:
            raise StackError(f"the stack {self.name} has no parameter {PARAMETER}: deploy the serving stack again")
        return State(self.name, stacks[0]["StackStatus"], parameters[PARAMETER], tuple(parameters))

    def put_in_service(self, package_arn: str, token: str) -> None:
        """Begin the update that puts a package, or no model (""), into service.

        StackBusyError or StackError as in `State.require_ready`; nothing when the operation `token` has begun already.
        """
        from botocore.exceptions import ClientError

        state = self.state()
        state.require_ready()
        others = [{"ParameterKey": key, "UsePreviousValue": True} for key in state.parameters if key != PARAMETER]
        try:
            self._cloudformation.update_stack(
                StackName=self.name,
                UsePreviousTemplate=True,
                Parameters=[{"ParameterKey": PARAMETER, "ParameterValue": package_arn}, *others],
                Capabilities=["CAPABILITY_NAMED_IAM"],
                ClientRequestToken=token,
            )
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code == "TokenAlreadyExistsException":
                return
            if code != "ValidationError":
                raise
            self.state().require_ready()  # somebody else may have begun an update a moment before
            raise StackError(f"the serving stack {self.name} refused the update: {message}") from error

    def cancel(self, token: str) -> bool:
        """Take back the running update if it is the operation `token`; return whether it was."""
        from botocore.exceptions import ClientError

        if not any(item.token == token and item.running for item in self.operations()):
            return False
        try:
            self._cloudformation.cancel_update_stack(StackName=self.name, ClientRequestToken=f"cancel-{token}")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            return False  # it ended a moment before, or is past the point where it can be cancelled
        return True

    def began(self, token: str, since: datetime) -> bool:
        """Whether the operation `token`, which cannot be older than `since`, has begun."""
        return any(item.token == token for item in self.operations(since))

    def operations(self, since: datetime | None = None) -> list[history.Operation]:
        """Operations with a token, newest first: those since a moment, or those of the newest page of events."""
        return history.operations(self.events(since))

    def events(self, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Events, newest first: back to a moment, or only the newest page (about 100)."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.name)
        for number, page in enumerate(pages, start=1):
            yield from page["StackEvents"]
            oldest = page["StackEvents"][-1]["Timestamp"] if page["StackEvents"] else None
            if since is None or number == _MAX_PAGES or (oldest is not None and oldest < since):
                return


def _remedy(name: str, status: str) -> str:
    if status in ("UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"):
        verb = "continue-update-rollback" if status == "UPDATE_ROLLBACK_FAILED" else "rollback-stack"
        return (
            f"repair what its events name, run `aws cloudformation {verb} --stack-name {name}`, then approve the "
            f"package again"
        )
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "REVIEW_IN_PROGRESS"):
        return "its first deployment never ended well. Delete it, deploy it again, then approve the package again"
    return "deploy it again, then approve the package again"
