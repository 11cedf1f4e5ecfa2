"""Reasons made short enough for AWS without losing the part that helps."""

import re

CALLBACK_LIMIT = 256  # SendPipelineExecutionStepFailure: FailureReason
DESCRIPTION_LIMIT = 1024  # UpdateModelPackage: ApprovalDescription
SUBJECT_LIMIT = 100  # Publish: Subject, ASCII without line ends

_WRAPPING = (
    (re.compile(r"^Resource handler returned message: \"(.*)\"(?: \(RequestToken: .*\))?$", re.DOTALL), r"\1"),
    (re.compile(r" ?\((?:Service|RequestToken|HandlerErrorCode|SDK Attempt Count)[^()]*\)"), ""),
    (
        re.compile(r"^An error occurred \((\w+)\) when calling the \w+ operation(?: \(reached max retries: \d+\))?: "),
        "",
    ),
)


def plain(reason: str) -> str:
    """One line without the wrapping that CloudFormation and botocore put around a service's message."""
    text = " ".join(reason.split())
    for pattern, replacement in _WRAPPING:
        text = pattern.sub(replacement, text)
    return text.strip()


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` characters; a cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


def version_of(arn: str | None) -> str:
    """`group/7` for a model package's ARN, for people; `no model` for none."""
    return arn.rpartition(":model-package/")[2] if arn else "no model"
