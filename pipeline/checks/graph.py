"""How steps hang together: names, branches, dependencies, cycles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.checks.expressions import references
from pipeline.checks.problem import Problem

Branch = tuple[str, ...]  # the branches a step lies in, outermost first, for example ("Gate.IfSteps",)


@dataclass(frozen=True)
class Placed:
    """A step and where it lies."""

    step: Mapping[str, Any]
    branch: Branch

    @property
    def name(self) -> str:
        """Name of the step; empty where it has none."""
        return str(self.step.get("Name", ""))


def place(steps: Any, branch: Branch = ()) -> Iterator[Placed]:
    """Every step of the definition, those inside the branches of conditions too."""
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        yield Placed(step, branch)
        arguments = step.get("Arguments")
        if step.get("Type") == "Condition" and isinstance(arguments, dict):
            for side in ("IfSteps", "ElseSteps"):
                yield from place(arguments.get(side), (*branch, f"{step.get('Name')}.{side}"))


def own_arguments(step: Mapping[str, Any]) -> Any:
    """Arguments without the steps of a condition's branches."""
    arguments = step.get("Arguments")
    if step.get("Type") == "Condition" and isinstance(arguments, dict):
        return {name: value for name, value in arguments.items() if name not in ("IfSteps", "ElseSteps")}
    return arguments


def check_graph(placed: list[Placed]) -> Iterator[Problem]:
    """Duplicate names, unknown or unreachable dependencies, cycles."""
    by_name: dict[str, Placed] = {}
    for item in placed:
        if item.name in by_name:
            yield Problem(item.name, "Name", "is the name of another step too")
        by_name.setdefault(item.name, item)

    edges: dict[str, set[str]] = {}
    for item in placed:
        depends = item.step.get("DependsOn", [])
        wanted = [(name, "DependsOn") for name in depends if isinstance(name, str)]
        wanted += [(name, "Arguments") for name in references(own_arguments(item.step))]
        edges[item.name] = {name for name, _ in wanted if name in by_name}
        edges[item.name] |= {part.rpartition(".")[0] for part in item.branch[-1:]}
        for name, path in dict.fromkeys(wanted):
            yield from _check_dependency(item, by_name.get(name), name, path)
    if cycle := _find_cycle(edges):
        yield Problem("", "Steps", f"wait for each other in a circle: {' -> '.join(cycle)}")


def _check_dependency(item: Placed, other: Placed | None, name: str, path: str) -> Iterator[Problem]:
    if other is None:
        yield Problem(item.name, path, f"refers to a step '{name}' that does not exist")
    elif other.step.get("Type") == "Fail":
        yield Problem(item.name, path, f"refers to '{name}', a Fail step: the execution ends there")
    elif item.branch[: len(other.branch)] != other.branch:
        yield Problem(item.name, path, f"refers to '{name}', which may not run: it lies in {other.branch[-1]}")


def _find_cycle(edges: Mapping[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            if cycle := visit(other, [*trail, name]):
                return cycle
        done.add(name)
        return []

    return next((cycle for name in edges if (cycle := visit(name, []))), [])
