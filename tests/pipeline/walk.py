"""Walk a definition together with the shapes that its values must have."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.model import Shape

from pipeline.checks import model
from pipeline.checks.expressions import is_expression

SNAPSHOT = Path(__file__).with_name("definition.json")
Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Node:
    """A value of the definition, where it is, and its shape."""

    keys: Keys
    value: Any
    shape: Shape

    @property
    def id(self) -> str:
        return ".".join(map(str, self.keys))


def snapshot() -> dict[str, Any]:
    """The stored definition: parametrised tests are made from it, so that collecting them needs no SDK."""
    return json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def nodes(definition: dict[str, Any]) -> Iterator[Node]:
    """Every value that has a shape, steps inside branches included."""
    yield from _descend(definition, model.own_shape("Definition"), ())
    for keys, step in steps(definition):
        kind = step["Type"]
        yield from _descend(step, model.own_shape(f"{kind}Step"), keys)
        shape = model.request_shape(kind) if kind in model.JOBS else model.own_shape(f"{kind}Arguments")
        yield from _descend(step["Arguments"], shape, (*keys, "Arguments"))


def steps(definition: dict[str, Any], keys: Keys = ("Steps",)) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """Every step and where it is."""
    for index, step in enumerate(at(definition, keys)):
        yield (*keys, index), step
        if step["Type"] == "Condition":
            for side in ("IfSteps", "ElseSteps"):
                yield from steps(definition, (*keys, index, "Arguments", side))


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    """The step of that name, wherever it is."""
    return next(step for _, step in steps(definition) if step["Name"] == name)


def jobs(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps that run containers."""
    return [step for _, step in steps(definition) if step["Type"] in ("Processing", "Training", "Tuning")]


def request(step: dict[str, Any]) -> dict[str, Any]:
    """The part of a job step's request that says where and how it runs."""
    return step["Arguments"].get("TrainingJobDefinition", step["Arguments"])


def at(value: Any, keys: Keys) -> Any:
    """The value at a path."""
    for key in keys:
        value = value[key]
    return value


def expressions(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """Every expression, those inside others too."""
    if is_expression(value):
        yield keys, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from expressions(item, (*keys, key))


def _descend(value: Any, shape: Shape, keys: Keys) -> Iterator[Node]:
    yield Node(keys, value, shape)
    if is_expression(value):
        return
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _descend(item, shape.members[name], (*keys, name))
    elif shape.type_name == "map":
        for name, item in value.items():
            yield from _descend(item, shape.value, (*keys, name))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _descend(item, shape.member, (*keys, index))
