"""CloudFormation tells EventBridge about every status of a stack; ministack only records it.

Releases hang on this: the function that finishes a release is called by the event of the serving stack, and finds the
operation's ClientRequestToken in it.
"""

import sys
from typing import Any

from ministack.services.cloudformation import stacks

from local.emulator.events import put_event

_STACK = "AWS::CloudFormation::Stack"


def install() -> None:
    """Emit `CloudFormation Stack Status Change` wherever ministack records a stack's own event."""
    record = stacks._add_event

    def record_and_emit(
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        record(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)
        if resource_type == _STACK and logical_id == stack_name:
            _emit(stack_id, status, reason, stacks.CLIENT_REQUEST_TOKEN.get())

    for name, module in list(sys.modules.items()):  # other modules imported the function by its name
        if name.startswith("ministack.services.cloudformation") and getattr(module, "_add_event", None) is record:
            module._add_event = record_and_emit  # type: ignore[attr-defined]  # a module's type has no such name


def _emit(stack_id: str, status: str, reason: str, token: str) -> None:
    # An operation without a token has none in its event: a rule must not match on an empty one.
    detail: dict[str, Any] = {"stack-id": stack_id, "status-details": {"status": status, "status-reason": reason}}
    if token:
        detail["client-request-token"] = token
    put_event("aws.cloudformation", "CloudFormation Stack Status Change", detail, [stack_id])
