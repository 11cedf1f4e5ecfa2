"""Releases by hand: approve a version, or go back to an older one, and watch it go into service or be refused.

Both are the same act. Setting a package Approved emits the event that the release function listens to; it updates the
serving stack, whose alarms watch the new model. A package that is Approved already, which is every former champion, is
set back to PendingManualApproval first, because an approval that changes nothing emits nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from infra.names import MODEL_PACKAGE_PARAMETER
from ops.account import Account, parameter
from ops.errors import OpsError
from ops.packages import PROMOTE, Package, package

Say = Callable[[str], None]

_STUCK = "UPDATE_ROLLBACK_FAILED"
_TAKEN_UP_SECONDS = 300.0  # from the approval to the first change of the stack, unless it is busy


@dataclass(frozen=True)
class _Look:
    """The serving stack and the package at one moment."""

    status: str
    serving: str
    approval: str
    description: str


def release(
    account: Account, version: int | str, say: Say, *, wait: bool = True, seconds: float = 5400, every: float = 5.0
) -> Package:
    """Approve `version` and wait until it is in service; the package as it is then.

    OpsError when it cannot be released, was refused or rolled back (with the reason), or takes longer than `seconds`.
    A package in service already is returned as it is.
    """
    chosen = package(account, version)
    if chosen.in_service:
        say(f"version {chosen.version} is in service already")
        return chosen
    if chosen.verdict != PROMOTE:
        raise OpsError(
            f"version {chosen.version} cannot be released: the gate's verdict on it is {chosen.verdict or 'missing'}; "
            f"only a package with the verdict {PROMOTE} goes into service"
        )
    before = _look(account, chosen)
    if before.status == _STUCK:
        raise OpsError(
            f"stack {account.names.stack('serving')} is in {_STUCK}; mend it first: docs/operations.md, "
            "'A stack is in UPDATE_ROLLBACK_FAILED'"
        )
    _approve(account, chosen)
    say(f"version {chosen.version} is approved; the release begins")
    if not wait:
        return package(account, chosen.arn)
    return _Watch(account, chosen, say, every).until_over(seconds)


def _approve(account: Account, chosen: Package) -> None:
    sagemaker = account.client("sagemaker")
    who = account.client("sts").get_caller_identity()["Arn"].rsplit("/", 1)[-1]
    if chosen.approval == "Approved":
        sagemaker.update_model_package(ModelPackageArn=chosen.arn, ModelApprovalStatus="PendingManualApproval")
    sagemaker.update_model_package(
        ModelPackageArn=chosen.arn, ModelApprovalStatus="Approved", ApprovalDescription=_by(who)
    )


def _by(who: str) -> str:
    return f"approved by {who} with python -m ops"


def _look(account: Account, chosen: Package) -> _Look:
    stack = account.stack("serving")
    if stack is None:
        raise OpsError(account.not_deployed("serving"))
    now = package(account, chosen.arn)
    return _Look(stack["StackStatus"], parameter(stack, MODEL_PACKAGE_PARAMETER), now.approval, now.description)


class _Watch:
    """Follows one release."""

    def __init__(self, account: Account, chosen: Package, say: Say, every: float):
        self._account = account
        self._chosen = chosen
        self._say = say
        self._every = every
        self._began = time.monotonic()
        self._moved = False

    def until_over(self, seconds: float) -> Package:
        """Wait for the end of the release."""
        shown = ""
        while True:
            look = _look(self._account, self._chosen)
            if look.status != shown:
                shown = look.status
                self._say(f"{self._account.names.stack('serving')}: {shown}")
            self._moved = self._moved or look.status.endswith("_IN_PROGRESS")
            if look.approval == "Rejected":
                raise OpsError(f"version {self._chosen.version} was refused: {look.description or 'no reason given'}")
            if look.status == _STUCK:
                raise OpsError(
                    f"version {self._chosen.version} failed and the stack could not go back: docs/operations.md, "
                    "'A stack is in UPDATE_ROLLBACK_FAILED'"
                )
            if look.serving == self._chosen.arn and not look.status.endswith("_IN_PROGRESS") and self._tested(look):
                return package(self._account, self._chosen.arn)
            self._check_time(seconds)
            time.sleep(self._every)

    def _tested(self, look: _Look) -> bool:
        """Whether the smoke test after the update has passed: it writes so into the package."""
        return not look.description.endswith("with python -m ops")

    def _check_time(self, seconds: float) -> None:
        waited = time.monotonic() - self._began
        if not self._moved and waited > _TAKEN_UP_SECONDS:
            raise OpsError(
                f"the release of version {self._chosen.version} has not begun after {waited:.0f} s: look at the log of "
                f"{self._account.names.function('release-start')} and the queue "
                f"{self._account.names.queue('release-dead')}"
            )
        if waited > seconds:
            raise OpsError(
                f"the release of version {self._chosen.version} is not over after {waited:.0f} s; it goes on without "
                f"this command: python -m ops status --env {self._account.environment}"
            )
