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

_OURS = " with python -m ops"  # ends what we write into a package
_STUCK = "UPDATE_ROLLBACK_FAILED"
_TAKEN_UP_SECONDS = 300.0  # from the approval to the first change of the stack, unless it is busy
_SMOKE_SECONDS = 45.0  # from the end of the update to the smoke test's verdict, which is told only when it is bad


@dataclass(frozen=True)
class _Look:
    """The serving stack and the package at one moment."""

    status: str
    serving: str
    approval: str
    description: str


def release(
    account: Account,
    version: int | str,
    say: Say,
    *,
    wait: bool = True,
    seconds: float = 5400,
    every: float | None = None,
    smoke_seconds: float | None = None,
) -> Package:
    """Approve `version` and wait until it is in service; the package as it is then.

    OpsError when it cannot be released, was refused or rolled back (with the reason), or takes longer than `seconds`.
    A package in service already is returned as it is. `every`: seconds between looks (5 on AWS, 1 on the laptop);
    `smoke_seconds`: how long a model in service may still be refused by the smoke test (45 and 10).
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
    pause, smoke = (1.0, 10.0) if account.endpoint_url else (5.0, _SMOKE_SECONDS)
    watch = _Watch(
        account,
        chosen,
        say,
        every=pause if every is None else every,
        smoke_seconds=smoke if smoke_seconds is None else smoke_seconds,
    )
    return watch.until_over(before.status, seconds)


def _approve(account: Account, chosen: Package) -> None:
    sagemaker = account.client("sagemaker")
    who = account.client("sts").get_caller_identity()["Arn"].replace(":", "/").rsplit("/", 1)[-1]
    statuses = ("PendingManualApproval", "Approved") if chosen.approval == "Approved" else ("Approved",)
    for status in statuses:
        sagemaker.update_model_package(
            ModelPackageArn=chosen.arn, ModelApprovalStatus=status, ApprovalDescription=f"approved by {who}{_OURS}"
        )


def _look(account: Account, chosen: Package) -> _Look:
    stack = account.stack("serving")
    if stack is None:
        raise OpsError(account.not_deployed("serving"))
    now = package(account, chosen.arn)
    return _Look(stack["StackStatus"], parameter(stack, MODEL_PACKAGE_PARAMETER), now.approval, now.description)


class _Watch:
    """Follows one release."""

    def __init__(self, account: Account, chosen: Package, say: Say, *, every: float, smoke_seconds: float):
        self._account = account
        self._chosen = chosen
        self._say = say
        self._every = every
        self._smoke_seconds = smoke_seconds
        self._began = time.monotonic()
        self._moved = False
        self._in_service_since: float | None = None

    def until_over(self, shown: str, seconds: float) -> Package:
        """Wait for the end of the release; `shown` is the stack's status that was seen last."""
        while True:
            look = _look(self._account, self._chosen)
            if look.status != shown:
                shown = look.status
                self._say(f"{self._account.names.stack('serving')}: {shown}")
            self._moved = self._moved or look.status.endswith("_IN_PROGRESS")
            if look.approval == "Rejected":
                raise OpsError(f"version {self._chosen.version} was refused: {look.description or 'no reason given'}")
            if look.approval != "Approved" and not look.description.endswith(_OURS):
                raise OpsError(f"version {self._chosen.version} was not released: {look.description}")
            if look.status == _STUCK:
                raise OpsError(
                    f"version {self._chosen.version} failed and the stack could not go back: docs/operations.md, "
                    "'A stack is in UPDATE_ROLLBACK_FAILED'"
                )
            if self._is_over(look):
                return package(self._account, self._chosen.arn)
            self._check_time(seconds)
            time.sleep(self._every)

    def _is_over(self, look: _Look) -> bool:
        """Whether the model is in service, and either said to be good or not refused for a while."""
        if look.serving != self._chosen.arn or look.status.endswith("_IN_PROGRESS"):
            self._in_service_since = None
            return False
        now = time.monotonic()
        self._in_service_since = self._in_service_since or now
        return not look.description.endswith(_OURS) or now - self._in_service_since >= self._smoke_seconds

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
