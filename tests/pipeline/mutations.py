"""Everything that can be broken in the definition one at a time, found by walking it."""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.checks import model
from pipeline.checks.expressions import is_expression
from tests.pipeline.walk import Keys, Node, at, expressions, nodes, steps

_DELETE = object()
_SCALARS = ("string", "integer", "long", "float", "double", "boolean")


@dataclass(frozen=True)
class Mutation:
    """Put `value` at `keys`."""

    kind: str
    keys: Keys
    value: Any

    @property
    def id(self) -> str:
        return f"{self.kind}-{'.'.join(map(str, self.keys))}"

    def apply(self, definition: dict[str, Any]) -> dict[str, Any]:
        broken = copy.deepcopy(definition)
        holder = at(broken, self.keys[:-1])
        if self.value is _DELETE:
            del holder[self.keys[-1]]
        else:
            holder[self.keys[-1]] = copy.deepcopy(self.value)
        return broken


def mutations(definition: dict[str, Any]) -> Iterator[Mutation]:
    """Every mutation, in the order of the definition; a mistake counts once for all steps of a type."""
    types = {keys: step["Type"] for keys, step in steps(definition)}
    seen: set[tuple[str, Keys]] = set()
    for node in nodes(definition):
        for mutation in _shape_mutations(node):
            place = tuple("*" if isinstance(key, int) else key for key in node.keys)
            step = next((key for key in sorted(types, key=len, reverse=True) if node.keys[: len(key)] == key), ())
            mistake = (mutation.kind, (types.get(step, ""), *place[len(step) :], *mutation.keys[len(node.keys) :]))
            if mistake not in seen:
                seen.add(mistake)
                yield mutation
    unlike = {json.dumps(expression): keys for keys, expression in expressions(definition)}
    for text, keys in unlike.items():
        yield from _expressions(keys, json.loads(text))
    yield from _parameters(definition)
    yield from _graph(definition)


def _shape_mutations(node: Node) -> Iterator[Mutation]:
    yield from _members(node)
    if node.keys and node.shape.name != model.OPAQUE:
        yield from _kinds(node)
        yield from _sizes(node)
        yield from _texts(node)


def _members(node: Node) -> Iterator[Mutation]:
    if node.shape.type_name != "structure" or is_expression(node.value):
        return
    for name in node.value:
        if name in node.shape.required_members:
            yield Mutation("drop", (*node.keys, name), _DELETE)
        renamed = {(f"{key}x" if key == name else key): value for key, value in node.value.items()}
        if node.keys:
            yield Mutation(f"misspell-{name}", node.keys, renamed)


def _kinds(node: Node) -> Iterator[Mutation]:
    if node.shape.type_name in ("structure", "map", "list"):
        yield Mutation("text-for-structure", node.keys, "text")
        yield Mutation("expression-for-structure", node.keys, {"Get": "Execution.PipelineName"})
    if node.shape.name == model.SCALAR:
        yield Mutation("structure-for-value", node.keys, {"nested": "value"})
    elif node.shape.type_name in _SCALARS:
        yield Mutation("structure-for-value", node.keys, {"nested": "value"})
        wrong = 12 if node.shape.type_name == "string" else "text"
        yield Mutation("wrong-type", node.keys, wrong)
    if node.shape.type_name in ("integer", "long"):
        yield Mutation("truth-for-number", node.keys, True)
        yield Mutation("fraction-for-whole", node.keys, 1.5)


def _sizes(node: Node) -> Iterator[Mutation]:
    low, high = node.shape.metadata.get("min"), node.shape.metadata.get("max")
    if node.shape.type_name in ("integer", "long", "float", "double"):
        if low is not None:
            yield Mutation("below-range", node.keys, low - 1)
        if high is not None:
            yield Mutation("above-range", node.keys, high + 1)
    elif node.shape.type_name == "string" and node.shape.name not in (model.OPAQUE, model.SCALAR):
        if low:
            yield Mutation("too-short", node.keys, "")
        if high and not is_expression(node.value):
            yield Mutation("too-long", node.keys, (node.value * (high + 1))[: high + 1])
    elif node.shape.type_name == "list":
        if low:
            yield Mutation("too-few", node.keys, [])
        if high and high < 100 and node.value:
            yield Mutation("too-many", node.keys, [node.value[0]] * (high + 1))


def _texts(node: Node) -> Iterator[Mutation]:
    if node.shape.metadata.get("enum"):
        yield Mutation("not-in-enum", node.keys, "nonsense")
    if text := node.shape.metadata.get("pattern"):
        candidates = ("b/nonsense uri", " ", "a\nb", "", "%")
        bad = next((item for item in candidates if not model.pattern(text).fullmatch(item)), None)
        if bad is not None:
            yield Mutation("bad-pattern", node.keys, bad)


def _expressions(keys: Keys, expression: dict[str, Any]) -> Iterator[Mutation]:
    operator, body = next(iter(expression.items()))
    yield Mutation("misspelt-operator", keys, {f"{operator}x": body})
    if operator == "Get":
        for match in re.finditer(r"\w+", body):
            yield Mutation(
                f"misspelt-at-{match.start()}", (*keys, "Get"), f"{body[: match.end()]}x{body[match.end() :]}"
            )
        yield Mutation("not-a-text", (*keys, "Get"), 12)
        return
    for name in body:
        yield Mutation("drop", (*keys, operator, name), _DELETE)
    yield Mutation("unknown", (*keys, operator, "Unknown"), "x")


def _parameters(definition: dict[str, Any]) -> Iterator[Mutation]:
    for index, parameter in enumerate(definition["Parameters"]):
        keys = ("Parameters", index)
        yield Mutation("undeclared", keys, {**parameter, "Name": "Other"})
        yield Mutation("declared-twice", ("Parameters",), [*definition["Parameters"], parameter])
        other = "Integer" if parameter["Type"] == "String" else "String"
        if "DefaultValue" in parameter:
            yield Mutation("default-of-other-type", (*keys, "Type"), other)
        if parameter["Name"].endswith("InstanceType"):
            yield Mutation(
                "default-not-an-instance", keys, {**parameter, "DefaultValue": "ml.none", "EnumValues": ["ml.none"]}
            )
            allowed = [*parameter["EnumValues"], "ml.none"]
            yield Mutation("choice-not-an-instance", (*keys, "EnumValues"), allowed)
        if parameter["Name"] in ("HpoJobs", "HpoParallelism", "PreprocessInstanceCount"):
            yield Mutation("default-out-of-range", (*keys, "DefaultValue"), 0)


def _graph(definition: dict[str, Any]) -> Iterator[Mutation]:
    found = list(steps(definition))
    names = [step["Name"] for _, step in found]
    for (keys, step), other in zip(found, names[1:] + names[:1], strict=True):
        yield Mutation("duplicate-name", (*keys, "Name"), other)
        yield Mutation("unknown-dependency", (*keys, "DependsOn"), ["Nothing"])
        yield Mutation("dependency-on-itself", (*keys, "DependsOn"), [step["Name"]])
        if step["Name"] != "Refused":
            yield Mutation("dependency-on-fail", (*keys, "DependsOn"), ["Refused"])
        if len(keys) == 2:
            yield Mutation("dependency-into-branch", (*keys, "DependsOn"), ["Deploy"])
        if step["Name"] in ("Preprocess", "TrainBaseline", "Tune", "Train"):
            yield Mutation("cycle", (*keys, "DependsOn"), ["Evaluate"])
