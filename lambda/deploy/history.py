"""What a stack's events tell of its operations. Pure functions over events as DescribeStackEvents gives them, newest
first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import wording

_BEGINNINGS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS")
_CANCELLED = ("Resource creation cancelled", "Resource update cancelled")


@dataclass(frozen=True)
class Operation:
    """One operation on the stack. `status`: what the stack came to by it, such as UPDATE_COMPLETE."""

    token: str
    began: datetime
    status: str

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def took_effect(self) -> bool:
        """Whether what it asked for holds, or is about to."""
        return "ROLLBACK" not in self.status and not self.status.endswith("_FAILED")


def operations(events: Iterable[Mapping[str, Any]]) -> list[Operation]:
    """Operations with a token whose beginning is among the events, newest first.

    A stack does one thing after the other, so an operation's status is the newest of the stack before the next one
    began. Its token does not find it: the rollback after CancelUpdateStack carries the token of the cancelling.
    """
    found = []
    newest = None
    for event in filter(_of_the_stack, events):
        status = str(event["ResourceStatus"])
        newest = newest or status
        if status in _BEGINNINGS:
            if event.get("ClientRequestToken"):
                found.append(Operation(event["ClientRequestToken"], event["Timestamp"], newest))
            newest = None
    return found


def first_failure(events: Iterable[Mapping[str, Any]], token: str) -> str | None:
    """Why the operation `token` failed, as `LogicalId: reason`: what failed first, as the rest follows from it.

    None when nothing failed but what was cancelled because of something else.
    """
    reason = None
    for event in events:
        if event.get("ClientRequestToken") != token or not str(event["ResourceStatus"]).endswith("_FAILED"):
            continue
        text = str(event.get("ResourceStatusReason") or "no reason given")
        if _of_the_stack(event) or text.startswith(_CANCELLED):
            continue
        reason = f"{event['LogicalResourceId']}: {wording.plain(text)}"
    return reason


def _of_the_stack(event: Mapping[str, Any]) -> bool:
    return bool(event["PhysicalResourceId"] == event["StackId"])
