"""Requests checked and answers cut by botocore's model of the API."""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from local.sagemaker.errors import invalid


@functools.cache
def service_model(service: str = "sagemaker") -> Any:
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def knows(operation: str, service: str = "sagemaker") -> bool:
    """Whether the service has this operation."""
    return operation in service_model(service).operation_names


def validate(operation: str, request: Mapping[str, Any]) -> None:
    """ValidationException when a member is missing, unknown, of a wrong type, or breaks an enum, pattern or length."""
    shape = service_model().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise invalid(report.generate_report())
    broken = list(_constraints(shape, request, ""))
    if broken:
        noun = "error" if len(broken) == 1 else "errors"
        raise invalid(f"{len(broken)} validation {noun} detected: {'; '.join(broken)}")


def answer(operation: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as the operation answers: only members it has, nothing that is None."""
    shape = service_model().operation_model(operation).output_shape
    return {} if shape is None else _cut(shape, values)


def _cut(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        known = ((name, value[name]) for name in shape.members if value.get(name) is not None)
        return {name: _cut(shape.members[name], item) for name, item in known}
    if shape.type_name == "list":
        return [_cut(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _cut(shape.value, item) for key, item in value.items()}
    return value


def _constraints(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        for name, item in value.items():
            yield from _constraints(shape.members[name], item, f"{path}.{name}".lstrip("."))
    elif kind == "list":
        for index, item in enumerate(value):
            yield from _constraints(shape.member, item, f"{path}[{index}]")
    elif kind == "map":
        for key, item in value.items():
            yield from _constraints(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _text_constraints(shape, value, path)
    if kind in ("list", "map", "string") and len(value) > shape.metadata.get("max", len(value)):
        yield f"'{path}' failed to satisfy constraint: Member must have length at most {shape.metadata['max']}"


def _text_constraints(shape: Any, value: str, path: str) -> Iterator[str]:
    where = f"Value '{value[:200]}' at '{path}' failed to satisfy constraint"
    if shape.enum and value not in shape.enum:
        yield f"{where}: Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    if pattern and (compiled := _pattern(pattern)) and not compiled.fullmatch(value):
        yield f"{where}: Member must satisfy regular expression pattern: {pattern}"


@functools.cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """A compiled pattern; None for those in Java's dialect (`\\p{L}`), which Python cannot read."""
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        return None
