"""A value against a shape of the API model: members, types, enums, patterns, lengths and ranges.

botocore's own ParamValidator knows neither enums nor patterns nor upper bounds, and no pipeline expressions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import Shape

from pipeline.checks import model
from pipeline.checks.expressions import Resolved, is_expression
from pipeline.checks.problem import Findings, UnresolvedError

Resolve = Callable[[Mapping[str, Any]], Resolved]

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}
_ACCEPTS = {
    "string": ("String",),
    "boolean": ("Boolean",),
    "integer": ("Integer",),
    "long": ("Integer",),
    "float": ("Float", "Integer"),
    "double": ("Float", "Integer"),
}


def check(value: Any, shape: Shape, path: str, resolve: Resolve, *, unset: frozenset[str] = frozenset()) -> Findings:
    """Compare a value with its shape; `unset` are top-level members that the pipeline sets itself."""
    if is_expression(value):
        yield from _check_expression(value, shape, path, resolve)
    elif shape.name == model.OPAQUE:
        return
    elif shape.name == model.SCALAR:
        if not isinstance(value, str | int | float):
            yield path, f"must be a single value, not {value!r}"
    elif shape.type_name == "structure":
        yield from _check_structure(value, shape, path, resolve, unset)
    elif shape.type_name == "list":
        yield from _check_list(value, shape, path, resolve)
    elif shape.type_name == "map":
        yield from _check_map(value, shape, path, resolve)
    else:
        yield from check_scalar(value, shape, path)


def check_scalar(value: Any, shape: Shape, path: str) -> Findings:
    """A plain value against a scalar shape; texts that hold a CDK token are only known once deployed."""
    types = _PYTHON[shape.type_name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        yield path, f"must be a {shape.type_name}, not {value!r}"
        return
    if isinstance(value, str) and "${" in value:
        return
    limits = shape.metadata
    if limits.get("enum") and value not in limits["enum"]:
        yield path, f"'{value}' is not one of {_some(limits['enum'])}"
    if isinstance(value, str):
        yield from _check_size(len(value), shape, path, "characters")
        if "pattern" in limits and not model.pattern(limits["pattern"]).fullmatch(value):
            yield path, f"'{value}' does not match {limits['pattern']}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _check_size(value, shape, path, "")


def _check_expression(expression: Mapping[str, Any], shape: Shape, path: str, resolve: Resolve) -> Findings:
    try:
        resolved = resolve(expression)
    except UnresolvedError as error:
        yield path, str(error)
        return
    if shape.name in (model.OPAQUE, model.SCALAR):
        return
    if shape.type_name not in _ACCEPTS:
        yield path, f"must be a {shape.type_name}; an expression gives a single value"
    elif resolved.type != "Any" and resolved.type not in _ACCEPTS[shape.type_name]:
        hint = "; use .to_string()" if shape.type_name == "string" else ""
        yield path, f"must be a {shape.type_name}, but the expression gives a value of type {resolved.type}{hint}"
    else:
        for value in resolved.known:
            yield from check_scalar(value, shape, path)


def _check_structure(value: Any, shape: Shape, path: str, resolve: Resolve, unset: frozenset[str]) -> Findings:
    if not isinstance(value, dict):
        yield path, f"must be a structure, not {value!r}"
        return
    for name in shape.required_members:
        if name not in value and name not in unset:
            yield path, f"lacks the required member '{name}'"
    for name, item in value.items():
        if name in unset:
            yield f"{path}.{name}", "must be left out: the pipeline sets it"
        elif name not in shape.members:
            yield f"{path}.{name}", f"is no member of {shape.name}"
        else:
            yield from check(item, shape.members[name], f"{path}.{name}", resolve)


def _check_list(value: Any, shape: Shape, path: str, resolve: Resolve) -> Findings:
    if not isinstance(value, list):
        yield path, f"must be a list, not {value!r}"
        return
    yield from _check_size(len(value), shape, path, "items")
    for index, item in enumerate(value):
        yield from check(item, shape.member, f"{path}[{index}]", resolve)


def _check_map(value: Any, shape: Shape, path: str, resolve: Resolve) -> Findings:
    if not isinstance(value, dict):
        yield path, f"must be a map, not {value!r}"
        return
    yield from _check_size(len(value), shape, path, "entries")
    for key, item in value.items():
        yield from check_scalar(key, shape.key, f"{path}['{key}']")
        yield from check(item, shape.value, f"{path}['{key}']", resolve)


def _check_size(size: float, shape: Shape, path: str, unit: str) -> Findings:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield path, f"{size} {unit}".strip() + f" is below the minimum of {low}"
    if high is not None and size > high:
        yield path, f"{size} {unit}".strip() + f" is above the maximum of {high}"


def _some(values: list[str]) -> str:
    return ", ".join(values[:8]) + (f" and {len(values) - 8} more" if len(values) > 8 else "")
