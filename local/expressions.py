"""Resolve the expressions of a pipeline definition: Get, Std:Join and Std:JsonGet.

Grammar (SageMaker Pipelines definition schema, as the SageMaker Python SDK writes it): `{"Get": "Parameters.Epochs"}`,
`{"Get": "Execution.PipelineExecutionId"}`, `{"Get": "Steps.Tune.BestTrainingJob.TunedHyperParameters['lr']"}`,
`{"Std:Join": {"On": "/", "Values": [...]}}`, `{"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.F"},
"Path": "a.b[0]"}}`, or `"S3Uri"` instead of `"PropertyFile"`. In a list of named things (`Outputs['train']`) the text
in brackets is the name.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.errors import StepError

_TOKEN = re.compile(r"\.?([^.\[\]'\"]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_NAME_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name", "Key")


@dataclass(frozen=True)
class Scope:
    """What expressions may refer to while a step's arguments are resolved."""

    parameters: Mapping[str, Any]
    execution: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Any]]
    property_file: Callable[[str, str], Any]
    s3_json: Callable[[str], Any]


def resolve(value: Any, scope: Scope) -> Any:
    """Return `value` with every expression in it replaced; StepError naming the expression that cannot be."""
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        return _get(value["Get"], scope)
    if set(value) == {"Std:Join"}:
        join = value["Std:Join"]
        return str(join.get("On", "")).join(text(resolve(item, scope)) for item in join["Values"])
    if set(value) == {"Std:JsonGet"}:
        return _json_get(value["Std:JsonGet"], scope)
    return {key: resolve(item, scope) for key, item in value.items()}


def references(value: Any) -> set[str]:
    """Return the names of the steps that expressions in `value` refer to."""
    return {path.split(".")[1].split("[")[0] for path in _gets(value) if path.startswith("Steps.")}


def text(value: Any) -> str:
    """A value inside a joined string: text as it is, anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def walk(value: Any, path: str, where: str) -> Any:
    """Follow `path` (`a.b[0]['c']`, an initial `$` allowed) into `value`; StepError with what is there instead."""
    seen = where
    for token in _tokens(path.removeprefix("$"), where):
        value = _step_into(value, token, seen)
        seen = f"{seen}[{token}]" if isinstance(token, int) else f"{seen}.{token}"
    return value


def _gets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) == {"Get"}:
            yield value["Get"]
        for item in value.values():
            yield from _gets(item)
    elif isinstance(value, list):
        for item in value:
            yield from _gets(item)


def _tokens(path: str, where: str) -> Iterator[str | int]:
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise StepError(f"cannot read the path {path!r} of {where} from position {position}")
        name, index, single, double = match.groups()
        yield int(index) if index is not None else next(t for t in (name, single, double) if t is not None)
        position = match.end()


def _step_into(value: Any, token: str | int, seen: str) -> Any:
    if isinstance(value, Mapping) and token in value:
        return value[token]
    if isinstance(value, list):
        if isinstance(token, int) and token < len(value):
            return value[token]
        for item in value:
            if isinstance(item, Mapping) and any(item.get(key) == token for key in _NAME_KEYS):
                return item
    there = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else json.dumps(value, default=str)[:200]
    raise StepError(f"{seen} has no {token!r}; it holds: {there or 'nothing'}")


def _get(path: str, scope: Scope) -> Any:
    root, _, rest = path.partition(".")
    if root == "Parameters":
        return walk(scope.parameters, rest, "Parameters")
    if root == "Execution":
        return walk(scope.execution, rest, "Execution")
    if root == "Steps":
        name, _, inner = rest.partition(".")
        if name not in scope.outputs:
            raise StepError(f"{path} refers to step {name}, which has no outputs (yet); a DependsOn is missing")
        return walk(scope.outputs[name], inner, f"Steps.{name}")
    raise StepError(f"cannot resolve {path!r}: a Get starts with Parameters, Execution or Steps")


def _json_get(arguments: Mapping[str, Any], scope: Scope) -> Any:
    path = str(arguments["Path"])
    if "S3Uri" in arguments:
        uri = resolve(arguments["S3Uri"], scope)
        return walk(scope.s3_json(uri), path, uri)
    match = re.fullmatch(r"Steps\.([^.]+)\.PropertyFiles\.(.+)", arguments["PropertyFile"]["Get"])
    if match is None:
        raise StepError(f"cannot read the property file {arguments['PropertyFile']['Get']!r}")
    return walk(scope.property_file(match[1], match[2]), path, f"{match[1]}.PropertyFiles.{match[2]}")
