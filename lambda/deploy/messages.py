"""What arrives in the release queue, and the request tokens that stack operations carry.

A token says who asked: ten letters or digits are a pipeline's callback token, `approval-VERSION-EVENT` is a person,
`revert-TOKEN` takes back the release TOKEN. Any other operation, such as a `cdk deploy`, is not a release.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_CALLBACK = re.compile(r"[A-Za-z0-9]{10}")
_APPROVAL = re.compile(r"approval-(\d+)-.+")
_REVERT = re.compile(r"revert-(.+)")


class MessageError(Exception):
    """A message that is none of ours. Its text says what was expected."""


@dataclass(frozen=True)
class Callback:
    """A Deploy step of a pipeline waits for `token` to be answered; `stopping`: its run is to end."""

    token: str
    run_arn: str
    package_arn: str
    stopping: bool
    sent: datetime


@dataclass(frozen=True)
class Approval:
    """Somebody, or `finish`, approved a package at `time`; `changed`: what of it was updated, None when not told."""

    event_id: str
    package_arn: str
    time: datetime
    changed: tuple[str, ...] | None


@dataclass(frozen=True)
class Revert:
    """The release `token` put `package_arn` into service and it failed there: go back to `previous_arn` ("": none)."""

    token: str
    package_arn: str
    previous_arn: str
    sent: datetime

    def body(self) -> str:
        """The message as it is sent to the queue."""
        return json.dumps({"revert": {"token": self.token, "package": self.package_arn, "previous": self.previous_arn}})


@dataclass(frozen=True)
class Received:
    """One receipt of a message. `attempt` counts receipts from 1."""

    message: Callback | Approval | Revert
    receipt: str
    attempt: int


def read_record(record: Mapping[str, Any]) -> Received:
    """Read an SQS record as Lambda passes it; MessageError when it is none of ours."""
    attributes = record["attributes"]
    sent = datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC)
    try:
        message = _message(json.loads(record["body"]), sent)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MessageError(
            f"message {record.get('messageId')} of the release queue cannot be read ({type(error).__name__}: {error}); "
            f"only pipelines, approval events and release-finish may send to it"
        ) from error
    return Received(message, record["receiptHandle"], int(attributes["ApproximateReceiveCount"]))


def approval_token(version: int, event_id: str) -> str:
    """The request token of a release that a person asked for."""
    return f"approval-{version}-{event_id}"


def revert_token(token: str) -> str:
    """The request token of taking back the release `token`."""
    return f"revert-{token}"


def is_callback(token: str) -> bool:
    """Whether a pipeline waits for this token."""
    return _CALLBACK.fullmatch(token) is not None


def approved_version(token: str) -> int | None:
    """The version that a person's token releases; None for other tokens."""
    match = _APPROVAL.fullmatch(token)
    return int(match[1]) if match else None


def reverted_token(token: str) -> str | None:
    """The release that this token takes back; None for other tokens."""
    match = _REVERT.fullmatch(token)
    return match[1] if match else None


def is_release(token: str) -> bool:
    """Whether an operation with this token decides which model is in service."""
    return is_callback(token) or approved_version(token) is not None or reverted_token(token) is not None


def _message(body: Any, sent: datetime) -> Callback | Approval | Revert:
    if "token" in body:
        token = str(body["token"])
        if not is_callback(token):
            raise ValueError("the callback token is not 10 letters or digits")
        stopping = body["status"] == "Stopping"
        arguments = body.get("arguments") or {}
        package_arn = arguments.get("model_package_arn", "") if stopping else arguments["model_package_arn"]
        return Callback(token, str(body["pipelineExecutionArn"]), str(package_arn), stopping, sent)
    if "revert" in body:
        revert = body["revert"]
        return Revert(str(revert["token"]), str(revert["package"]), str(revert["previous"]), sent)
    detail = body["detail"]
    changed = detail.get("UpdatedModelPackageFields")
    return Approval(
        event_id=str(body["id"]),
        package_arn=str(detail["ModelPackageArn"]),
        time=datetime.fromisoformat(body["time"]),
        changed=None if changed is None else tuple(changed),
    )
