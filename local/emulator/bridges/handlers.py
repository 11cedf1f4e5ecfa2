"""ministack's CloudFormation handlers, wrapped: the mended types keep what ministack does and add to it."""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS

Properties = dict[str, Any]
Result = tuple[str, dict[str, Any]]


def around(
    type_name: str,
    *,
    before: Callable[[Properties], None] | None = None,
    after: Callable[[Properties], None] | None = None,
) -> None:
    """Call `before` and `after` with the wanted properties around ministack's create and update of a type.

    What they raise fails the resource, and with it the stack's operation.
    """
    handler = _RESOURCE_HANDLERS[type_name]
    create, update = handler["create"], handler["update"]

    def run(properties: Properties, call: Callable[[], Result]) -> Result:
        if before:
            before(properties)
        result = call()
        if after:
            after(properties)
        return result

    def created(logical_id: str, properties: Properties, stack: str) -> Result:
        return run(properties, lambda: create(logical_id, properties, stack))

    def updated(physical_id: str, old: Properties, new: Properties, *rest: str) -> Result:
        return run(new, lambda: update(physical_id, old, new, *rest))

    handler.update(create=created, update=updated)
