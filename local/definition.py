"""A typed view of a pipeline definition: parameters, steps and the graph between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from local.errors import LocalError
from local.expressions import references

_CASTS: dict[str, type] = {"String": str, "Integer": int, "Float": float}


@dataclass(frozen=True)
class Parameter:
    """One pipeline parameter."""

    name: str
    type: str
    default: Any
    required: bool
    allowed: tuple[Any, ...]

    def value(self, given: Any) -> Any:
        """Return `given` as this parameter's type; LocalError naming parameter, value and what is allowed."""
        try:
            cast: Any = _CASTS[self.type](given) if self.type != "Boolean" else _boolean(given)
        except (TypeError, ValueError) as error:
            raise LocalError(f"parameter {self.name} is {given!r}; it must be of type {self.type}") from error
        if self.allowed and cast not in self.allowed:
            raise LocalError(f"parameter {self.name} is {given!r}; allowed are {', '.join(map(str, self.allowed))}")
        return cast


def _boolean(given: Any) -> bool:
    if str(given).lower() not in ("true", "false"):
        raise ValueError(given)
    return str(given).lower() == "true"


@dataclass(frozen=True)
class RetryPolicy:
    """Which failures of a step are tried again, and how often: up to `attempts` times, or for `expire_seconds`."""

    exceptions: frozenset[str]
    interval_seconds: float
    backoff: float
    attempts: int | None
    expire_seconds: float | None


@dataclass(frozen=True)
class Step:
    """One step of any type. `branch` is (condition step, outcome it needs) for a step inside a condition's branches."""

    name: str
    type: str
    arguments: Any
    body: Mapping[str, Any]
    depends_on: frozenset[str]
    branch: tuple[str, bool] | None
    retries: tuple[RetryPolicy, ...]
    cache_expiry: str | None

    @property
    def property_files(self) -> dict[str, tuple[str, str]]:
        """Property file name -> (output name, path within it)."""
        files = self.body.get("PropertyFiles", [])
        return {item["PropertyFileName"]: (item["OutputName"], item["FilePath"]) for item in files}


@dataclass(frozen=True)
class Definition:
    """A pipeline, with the steps of all branches by name, in the order in which they are written."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Definition":
        """Read the JSON; LocalError on a step named twice, an unknown reference or a cycle."""
        steps: dict[str, Step] = {}
        for step in _walk_steps(data.get("Steps", []), None):
            if step.name in steps:
                raise LocalError(f"the pipeline definition has two steps named {step.name}; rename one")
            steps[step.name] = step
        for step in steps.values():
            for name in sorted(step.depends_on - set(steps)):
                raise LocalError(f"step {step.name} depends on {name}, which is not a step of the pipeline")
        try:
            TopologicalSorter({s.name: s.depends_on for s in steps.values()}).prepare()
        except CycleError as error:
            raise LocalError(f"the pipeline's steps wait for each other: {' -> '.join(error.args[1])}") from error
        return cls({p.name: p for p in map(_parameter, data.get("Parameters", []))}, steps)

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters' values: `given` ones cast and checked, defaults for the rest."""
        for name in sorted(set(given) - set(self.parameters)):
            known = ", ".join(sorted(self.parameters))
            raise LocalError(f"the pipeline has no parameter {name}; it has {known}")
        values = {}
        for parameter in self.parameters.values():
            if parameter.name in given:
                values[parameter.name] = parameter.value(given[parameter.name])
            elif parameter.required:
                raise LocalError(f"parameter {parameter.name} has no default; give it a value")
            else:
                values[parameter.name] = parameter.default
        return values


def _parameter(data: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=data["Name"],
        type=data["Type"],
        default=data.get("DefaultValue"),
        required="DefaultValue" not in data,
        allowed=tuple(data.get("EnumValues", ())),
    )


def _walk_steps(steps: list[Mapping[str, Any]], branch: tuple[str, bool] | None) -> Iterator[Step]:
    for data in steps:
        step = _step(data, branch)
        yield step
        if step.type == "Condition":
            yield from _walk_steps(data["Arguments"].get("IfSteps", []), (step.name, True))
            yield from _walk_steps(data["Arguments"].get("ElseSteps", []), (step.name, False))


def _step(data: Mapping[str, Any], branch: tuple[str, bool] | None) -> Step:
    arguments = data.get("Arguments", {})
    if data["Type"] == "Condition":
        arguments = {"Conditions": arguments.get("Conditions", [])}
    needed = set(data.get("DependsOn", [])) | references(arguments) | ({branch[0]} if branch else set())
    cache = data.get("CacheConfig", {})
    return Step(
        name=data["Name"],
        type=data["Type"],
        arguments=arguments,
        body=data,
        depends_on=frozenset(needed),
        branch=branch,
        retries=tuple(map(_retry, data.get("RetryPolicies", []))),
        cache_expiry=cache.get("ExpireAfter", "") if cache.get("Enabled") else None,
    )


def _retry(data: Mapping[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        exceptions=frozenset(data["ExceptionType"]),
        interval_seconds=float(data.get("IntervalSeconds", 1)),
        backoff=float(data.get("BackoffRate", 2.0)),
        attempts=int(data["MaxAttempts"]) if "MaxAttempts" in data else None,
        expire_seconds=60.0 * data["ExpireAfterMin"] if "ExpireAfterMin" in data else None,
    )
