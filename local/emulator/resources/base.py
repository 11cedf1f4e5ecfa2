"""How a CloudFormation resource type is added to ministack."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import botocore.session
from botocore.validate import ParamValidator
from ministack.services.cloudformation import stacks
from ministack.services.cloudformation.provisioners import _REPLACING_PROPERTIES, _RESOURCE_HANDLERS, _physical_name

Properties = dict[str, Any]
Result = tuple[str, dict[str, Any]]  # physical id (what Ref gives), attributes (what GetAtt gives)


@dataclass(frozen=True)
class Resource:
    """A resource of a stack: what the template wants of it, and what it is called once it is there."""

    stack: str
    logical_id: str
    properties: Properties
    physical_id: str = ""

    def generated_name(self, longest: int = 63) -> str:
        """A name for one that the template does not name; another after a replacement."""
        return str(_physical_name(self.stack, self.logical_id, max_len=longest))


class ResourceType(ABC):
    """One type. Every method may raise: the message becomes the resource's status reason and the stack rolls back."""

    name: ClassVar[str]
    replacing: tuple[str, ...] = ()  # properties that cannot change in place: a change creates anew, then deletes
    blocking: ClassVar[bool] = False  # waits, or calls a service over HTTP: runs beside the event loop

    @abstractmethod
    def create(self, wanted: Resource) -> Result:
        """Create it; what it began to create must be gone when it raises."""

    @abstractmethod
    def update(self, wanted: Resource) -> Result:
        """Change it in place; it must be as before when this raises."""

    @abstractmethod
    def delete(self, existing: Resource) -> None:
        """Delete it; not an error when it is gone already."""


def register(*types: ResourceType) -> None:
    """Let stacks use the types."""
    blocking = {item.name for item in types if item.blocking}
    for item in types:
        _RESOURCE_HANDLERS[item.name] = _handlers(item)
        _REPLACING_PROPERTIES[item.name] = item.replacing
    before = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda name: name in blocking or before(name)


def _handlers(item: ResourceType) -> dict[str, Any]:
    """ministack's form of a type: functions with these arguments."""
    return {
        "create": lambda logical_id, new, stack: item.create(Resource(stack, logical_id, new)),
        "update": lambda identity, _old, new, stack, logical_id: item.update(
            Resource(stack, logical_id, new, physical_id=identity)
        ),
        "update_with_logical_id": True,
        "delete": lambda identity, old: item.delete(Resource("", "", old, physical_id=identity)),
    }


def request_of(service: str, operation: str, values: Properties, *, type_name: str) -> Properties:
    """Properties as the members of an API request: CloudFormation hands numbers and truth values over as text.

    ValueError for a property that the operation does not have: silently dropped, it would look as if it worked.
    """
    shape = _model(service).operation_model(operation).input_shape
    unknown = sorted(set(values) - set(shape.members))
    if unknown:
        raise ValueError(
            f"{type_name}: the emulator does not know {', '.join(unknown)} ({operation} has no such member)"
        )
    converted: Properties = _converted(shape, values)
    report = ParamValidator().validate(converted, shape)
    if report.has_errors():
        raise ValueError(f"{type_name}: {operation} would be rejected: {report.generate_report()}")
    return converted


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def members(service: str, operation: str) -> tuple[str, ...]:
    """Names of the operation's request members but for Tags, which change in place."""
    return tuple(name for name in _model(service).operation_model(operation).input_shape.members if name != "Tags")


def _converted(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return {
            key: _converted(shape.members[key], item) if key in shape.members else item for key, item in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [_converted(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _converted(shape.value, item) for key, item in value.items()}
    if isinstance(value, str) and kind in ("integer", "long"):
        return int(value)
    if isinstance(value, str) and kind in ("float", "double"):
        return float(value)
    if isinstance(value, str) and kind == "boolean":
        return value.lower() == "true"
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, (int, float)):
        return str(value)
    return value
