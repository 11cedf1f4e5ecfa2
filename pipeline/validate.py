"""Whether SageMaker would accept a pipeline definition, found out without SageMaker.

Each job step's Arguments are compared with botocore's model of the API that the step calls; expressions are resolved
as far as the definition itself says, so a parameter's default and each of its allowed values are checked against
the member they land in.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.checks import model, rules, shapes
from pipeline.checks.expressions import Scope
from pipeline.checks.graph import check_graph, place
from pipeline.checks.problem import Findings, Problem

__all__ = ["Problem", "validate"]


def validate(definition: Mapping[str, Any]) -> list[Problem]:
    """Return everything that is wrong with a definition; an empty list when nothing is."""
    placed = list(place(definition.get("Steps")))
    scope = Scope(_parameters(definition), {item.name: item.step for item in placed if _is_readable(item.step)})
    problems = [Problem("", *finding) for finding in _check_definition(definition)]
    problems += check_graph(placed)
    for item in placed:
        findings = list(_check_step(item.step, scope))
        # Rules look members up by name, so they wait until those are known to be there.
        problems += [Problem(item.name, *finding) for finding in findings or rules.check_rules(item.step, scope)]
    return problems


def _check_definition(definition: Mapping[str, Any]) -> Findings:
    frame = model.own_shape("Definition")
    yield from shapes.check(definition, frame, "definition", Scope().resolve)
    names: set[str] = set()
    for index, parameter in enumerate(_list(definition, "Parameters")):
        path = f"Parameters[{index}]"
        if isinstance(parameter, dict):
            name = str(parameter.get("Name"))
            if name in names:
                yield path, f"'{name}' is declared twice"
            names.add(name)
            yield from _check_values(parameter, path)
    yield from _check_are_steps(definition, "Steps")


def _check_values(parameter: Mapping[str, Any], path: str) -> Findings:
    types = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
    expected = types.get(str(parameter.get("Type")), object)
    allowed = _list(parameter, "EnumValues")
    defaults = [parameter["DefaultValue"]] if "DefaultValue" in parameter else []
    for value in (*defaults, *allowed):
        if type(value) is not expected and not (expected is float and type(value) is int):
            yield path, f"{value!r} is not of type {parameter.get('Type')}"
    if allowed and defaults and defaults[0] not in allowed:
        yield path, f"the default '{defaults[0]}' is not one of {allowed}"


def _check_step(step: Mapping[str, Any], scope: Scope) -> Findings:
    kind = step.get("Type")
    if kind not in model.STEP_TYPES:
        yield "Type", f"'{kind}' is not one of {', '.join(model.STEP_TYPES)}"
        return
    for path, text in shapes.check(step, model.own_shape(f"{kind}Step"), "", scope.resolve):
        yield path.removeprefix(".") or "step", text
    arguments = step.get("Arguments")
    if kind in model.JOBS:
        unset = frozenset({model.JOBS[kind][1]})  # the pipeline names jobs and packages itself
        yield from shapes.check(arguments, model.request_shape(kind), "Arguments", scope.resolve, unset=unset)
    else:
        yield from shapes.check(arguments, model.own_shape(f"{kind}Arguments"), "Arguments", scope.resolve)
    if kind == "Condition" and isinstance(arguments, dict):
        for side in ("IfSteps", "ElseSteps"):
            yield from _check_are_steps(arguments, side)


def _check_are_steps(holder: Mapping[str, Any], name: str) -> Findings:
    for index, step in enumerate(_list(holder, name)):
        if not isinstance(step, dict):
            yield f"{name}[{index}]", f"must be a step, not {step!r}"


def _parameters(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    declared = [item for item in _list(definition, "Parameters") if isinstance(item, dict)]
    return {str(item.get("Name")): item for item in declared}


def _is_readable(step: Mapping[str, Any]) -> bool:
    return step.get("Type") in model.STEP_TYPES and isinstance(step.get("Arguments"), dict)


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []
