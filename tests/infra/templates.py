"""Small steps into templates, for rules and tests."""

from typing import Any

from infra.references import Node


def name_of(node: Node) -> str:
    """stack/id."""
    return f"{node.stack}/{node.id}"


def at(value: Any, path: str) -> Any:
    """What lies at a path of keys with dots between; None where there is nothing."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def listed(value: Any) -> list[Any]:
    """A list as it is; one value as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]
