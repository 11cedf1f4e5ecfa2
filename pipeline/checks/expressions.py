"""Pipeline expressions: what `Get`, `Std:Join` and `Std:JsonGet` stand for, as far as the definition itself says."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import Shape

from pipeline.checks import model
from pipeline.checks.problem import UnresolvedError

_OPERATORS = ("Get", "Std:Join", "Std:JsonGet")
_PART = re.compile(r"\.(?P<member>\w+)|\['(?P<key>[^']+)'\]|\[(?P<index>\d+)\]")
_JSON_PATH = re.compile(r"\w+(\.\w+|\['[^']+'\]|\[\d+\])*")
# What an execution's variables look like, so that the texts built from them can be checked.
_EXECUTION = {
    "PipelineName": "tally",
    "PipelineArn": "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/tally",
    "PipelineExecutionId": "a1b2c3d4e5f6",
    "PipelineExecutionArn": "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/tally/execution/a1b2c3d4e5f6",
    "StartDateTime": "2030-01-31T00:00:00.000Z",
    "CurrentDateTime": "2030-01-31T00:00:00.000Z",
}
_MOST_COMBINATIONS = 256


@dataclass(frozen=True)
class Resolved:
    """Type of an expression's value (`String`, ..., or `Any`) and the values it is known to take; none: unknown."""

    type: str
    known: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Scope:
    """What expressions may refer to."""

    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def resolve(self, expression: Mapping[str, Any]) -> Resolved:
        """What the expression stands for; UnresolvedError names what does not exist."""
        operator, body = next(iter(expression.items()))
        if operator == "Get":
            return self._get(body)
        if operator == "Std:Join":
            return self._join(body)
        return self._json_get(body)

    def _get(self, path: Any) -> Resolved:
        if not isinstance(path, str):
            raise UnresolvedError(f"Get takes a text, not {path!r}")
        root, _, rest = path.partition(".")
        if root == "Parameters":
            return self._parameter(rest)
        if root == "Execution":
            if rest not in _EXECUTION:
                raise UnresolvedError(f"'{path}' is no execution variable; known: {', '.join(_EXECUTION)}")
            return Resolved("String", (_EXECUTION[rest],))
        if root == "Steps":
            return self._step_property(path)
        raise UnresolvedError(f"'{path}' begins with neither Parameters nor Execution nor Steps")

    def _parameter(self, name: str) -> Resolved:
        parameter = self.parameters.get(name)
        if parameter is None:
            raise UnresolvedError(f"parameter '{name}' is not declared")
        default = [parameter["DefaultValue"]] if "DefaultValue" in parameter else []
        allowed = parameter.get("EnumValues")
        others = [value for value in allowed if value not in default] if isinstance(allowed, list) else []
        return Resolved(str(parameter.get("Type")), (*default, *others))

    def _step_property(self, path: str) -> Resolved:
        name, parts = split(path)
        step = self.steps.get(name)
        if step is None:
            raise UnresolvedError(f"'{path}' refers to a step '{name}' that does not exist")
        kind = step["Type"]
        if kind == "Condition" and parts == [("member", "Outcome")]:
            return Resolved("Boolean")
        if kind in ("Lambda", "Callback"):
            return _declared_output(step, path, parts)
        if kind not in model.JOBS:
            raise UnresolvedError(f"'{path}' refers to a {kind} step, which has no such property")
        return _described(step, path, parts)

    def _join(self, body: Any) -> Resolved:
        if not isinstance(body, dict) or set(body) != {"On", "Values"} or not isinstance(body["On"], str):
            raise UnresolvedError("Std:Join takes exactly On, a text, and Values, a list")
        if not isinstance(body["Values"], list) or not body["Values"]:
            raise UnresolvedError("Std:Join takes at least one value")
        choices = [self._part(value) for value in body["Values"]]
        if not all(choices):
            return Resolved("String")
        combinations = itertools.islice(itertools.product(*choices), _MOST_COMBINATIONS)
        return Resolved("String", tuple(body["On"].join(map(str, values)) for values in combinations))

    def _part(self, value: Any) -> tuple[Any, ...]:
        if is_expression(value):
            return self.resolve(value).known
        if not isinstance(value, str | int | float):
            raise UnresolvedError(f"Std:Join cannot join {value!r}")
        return (value,)

    def _json_get(self, body: Any) -> Resolved:
        if not isinstance(body, dict) or set(body) != {"PropertyFile", "Path"}:
            raise UnresolvedError("Std:JsonGet takes exactly PropertyFile and Path")
        if not isinstance(body["Path"], str) or not _JSON_PATH.fullmatch(body["Path"]):
            raise UnresolvedError(f"Std:JsonGet cannot read the path {body['Path']!r}")
        reference = body["PropertyFile"]
        path = reference.get("Get") if is_expression(reference) else None
        match = re.fullmatch(r"Steps\.([\w-]+)\.PropertyFiles\.([\w-]+)", str(path))
        if match is None:
            raise UnresolvedError(f"Std:JsonGet takes a Get of Steps.X.PropertyFiles.Y, not {reference!r}")
        if match[2] not in names(dig(self.steps.get(match[1]), "PropertyFiles")):
            raise UnresolvedError(f"'{path}' names a property file that step '{match[1]}' does not declare")
        return Resolved("Any")


def is_expression(value: Any) -> bool:
    """Whether the value is a pipeline expression and not plain data."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _OPERATORS


def references(value: Any) -> Iterator[str]:
    """Names of the steps that the expressions inside the value refer to."""
    if is_expression(value) and isinstance(value.get("Get"), str):
        root, _, rest = value["Get"].partition(".")
        if root == "Steps":
            yield rest.partition(".")[0]
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def split(path: str) -> tuple[str, list[tuple[str, str]]]:
    """`Steps.X.A['k'].B` as the step's name and the parts (`member`, `key` or `index`; text)."""
    match = re.fullmatch(r"Steps\.([\w-]+)((?:\.\w+|\['[^']+'\]|\[\d+\])+)", path)
    if match is None:
        raise UnresolvedError(f"'{path}' is not of the form Steps.NAME.PROPERTY")
    parts = [(str(part.lastgroup), str(part[str(part.lastgroup)])) for part in _PART.finditer(match[2])]
    return match[1], parts


def _declared_output(step: Mapping[str, Any], path: str, parts: list[tuple[str, str]]) -> Resolved:
    outputs = step.get("OutputParameters")
    structures = [item for item in outputs if isinstance(item, dict)] if isinstance(outputs, list) else []
    declared = {str(output.get("OutputName")): str(output.get("OutputType")) for output in structures}
    if len(parts) != 2 or parts[0] != ("member", "OutputParameters") or parts[1][0] != "key":
        raise UnresolvedError(f"'{path}' is not of the form Steps.{step['Name']}.OutputParameters['NAME']")
    if parts[1][1] not in declared:
        raise UnresolvedError(f"'{path}' names an output that step '{step['Name']}' does not declare: {list(declared)}")
    return Resolved(declared[parts[1][1]])


def _described(step: Mapping[str, Any], path: str, parts: list[tuple[str, str]]) -> Resolved:
    """Follow the path through the Describe* shapes of the step."""
    roots = model.property_shapes(step["Type"])
    kind, first = parts[0]
    root = next((shape for shape in roots if kind == "member" and first in shape.members), None)
    if root is None:
        raise UnresolvedError(f"'{path}': {' and '.join(shape.name for shape in roots)} have no member '{first}'")
    shape, walked = root.members[first], first
    for kind, text in parts[1:]:
        shape = _descend(step, path, shape, walked, kind, text)
        walked = f"{walked}.{text}" if kind == "member" else walked
    types = {"string": "String", "timestamp": "String", "boolean": "Boolean", "integer": "Integer", "long": "Integer"}
    types |= {"float": "Float", "double": "Float"}
    if shape.type_name not in types:
        raise UnresolvedError(f"'{path}' is a {shape.type_name}, not a single value")
    sample = ("s3://bucket/key",) if shape.name == "S3Uri" else ()
    return Resolved(types[shape.type_name], sample)


def _descend(step: Mapping[str, Any], path: str, shape: Shape, walked: str, kind: str, text: str) -> Shape:
    if kind == "member" and shape.type_name == "structure" and text in shape.members:
        return shape.members[text]
    if kind == "index" and shape.type_name == "list":
        return shape.member
    if kind == "key" and shape.type_name in ("list", "map"):
        keys = _keys(step, walked)
        if text not in keys:
            raise UnresolvedError(f"'{path}': step '{step['Name']}' has no '{text}' in {walked}, only {sorted(keys)}")
        return shape.member if shape.type_name == "list" else shape.value
    raise UnresolvedError(f"'{path}': {shape.name} has no member '{text}'")


def _keys(step: Mapping[str, Any], walked: str) -> set[str]:
    """The names under which a list or map of the step's Describe* response can be looked up, from its request."""
    if step["Type"] == "Tuning" and walked == "BestTrainingJob.TunedHyperParameters":
        ranges = dig(step["Arguments"], "HyperParameterTuningJobConfig", "ParameterRanges")
        lists = ranges.values() if isinstance(ranges, dict) else ()
        return {name for items in lists for name in names(items)}
    value = dig(step["Arguments"], *walked.split("."))
    return set(value) if isinstance(value, dict) else set(names(value))


def dig(value: Any, *members: str) -> Any:
    """The member of a member ... of a structure; None where there is no such member."""
    for member in members:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def names(items: Any) -> list[str]:
    """What the items of a list call themselves: OutputName, InputName, ChannelName or Name."""
    known = ("PropertyFileName", "OutputName", "InputName", "ChannelName", "Name")
    structures = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [str(next((item[name] for name in known if name in item), "")) for item in structures]
