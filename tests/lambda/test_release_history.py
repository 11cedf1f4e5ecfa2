"""What the events of a stack are read as, and how reasons are put for people."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/tally-dev-serving/76b5b9b0"
BEGAN = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def history(load: Any) -> Any:
    (module,) = load("deploy", "history")
    return module


def events(*rows: tuple[str, str | None, str, str]) -> list[dict[str, Any]]:
    """Events in the order given, oldest first, returned newest first: logical id, token, status, reason."""
    made = []
    for number, (logical_id, token, status, reason) in enumerate(rows):
        stack = logical_id == "stack"
        event = {
            "StackId": STACK,
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": STACK if stack else f"physical-{logical_id}",
            "ResourceType": "AWS::CloudFormation::Stack" if stack else "AWS::SageMaker::Endpoint",
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "Timestamp": BEGAN + timedelta(minutes=number),
        }
        made.append({**event, "ClientRequestToken": token} if token else event)
    return made[::-1]


def test_each_operation_has_the_status_it_came_to(history: Any) -> None:
    found = history.operations(
        events(
            ("stack", "first", "UPDATE_IN_PROGRESS", "User Initiated"),
            ("stack", "first", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
            ("stack", "first", "UPDATE_COMPLETE", ""),
            ("stack", "second", "UPDATE_IN_PROGRESS", "User Initiated"),
            ("Endpoint", "second", "UPDATE_FAILED", "no capacity"),
            ("stack", "second", "UPDATE_ROLLBACK_IN_PROGRESS", ""),
            ("stack", "second", "UPDATE_ROLLBACK_COMPLETE", ""),
            ("stack", None, "UPDATE_IN_PROGRESS", "User Initiated"),
            ("stack", None, "UPDATE_COMPLETE", ""),
            ("stack", "third", "UPDATE_IN_PROGRESS", "User Initiated"),
            ("stack", "cancel-third", "UPDATE_ROLLBACK_IN_PROGRESS", ""),
            ("stack", "cancel-third", "UPDATE_ROLLBACK_COMPLETE", ""),
            ("stack", "fourth", "UPDATE_IN_PROGRESS", "User Initiated"),
        )
    )
    assert [(item.token, item.status, item.running, item.took_effect) for item in found] == [
        ("fourth", "UPDATE_IN_PROGRESS", True, True),
        ("third", "UPDATE_ROLLBACK_COMPLETE", False, False),
        ("second", "UPDATE_ROLLBACK_COMPLETE", False, False),
        ("first", "UPDATE_COMPLETE", False, True),
    ]
    assert found[-1].began == BEGAN


def test_a_nested_stack_is_not_the_stack(history: Any) -> None:
    (nested,) = events(("Nested", "first", "UPDATE_IN_PROGRESS", ""))
    assert history.operations([{**nested, "ResourceType": "AWS::CloudFormation::Stack"}]) == []


def test_the_first_failure_of_the_operation_is_the_reason(history: Any) -> None:
    told = events(
        ("Endpoint", "before", "UPDATE_FAILED", "an older failure"),
        ("Policy", "release", "UPDATE_FAILED", "Resource update cancelled"),
        ("Endpoint", "release", "UPDATE_FAILED", "alarm"),
        ("Target", "release", "CREATE_FAILED", "what came of it"),
        ("stack", "release", "UPDATE_ROLLBACK_FAILED", "the stack"),
    )
    assert history.first_failure(told, "release") == "Endpoint: alarm"


def test_what_was_only_cancelled_is_no_reason(history: Any) -> None:
    told = events(("Policy", "release", "CREATE_FAILED", "Resource creation cancelled"))
    assert history.first_failure(told, "release") is None


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        (
            'Resource handler returned message: "No capacity (Service: SageMaker, Status Code: 400, Request ID: 1-2)" '
            "(RequestToken: 4a1b, HandlerErrorCode: GeneralServiceException)",
            "No capacity",
        ),
        (
            "An error occurred (ThrottlingException) when calling the UpdateStack operation: Rate exceeded",
            "Rate exceeded",
        ),
        ("two\n  lines", "two lines"),
        ("as it is (with a remark)", "as it is (with a remark)"),
    ],
)
def test_wrapping_is_taken_off(load: Any, reason: str, plain: str) -> None:
    (wording,) = load("deploy", "wording")
    assert wording.plain(reason) == plain


def test_a_cut_shows(load: Any) -> None:
    (wording,) = load("deploy", "wording")
    assert wording.cut("x" * 300, 256) == "x" * 253 + "..."
    assert wording.cut("x" * 256, 256) == "x" * 256
