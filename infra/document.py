"""The API's document, lambda/api/openapi.json, from which its routes, request model and gateway answers are made.

Needs no aws_cdk.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PATH = Path(__file__).resolve().parents[1] / "lambda" / "api" / "openapi.json"
JSON = "application/json"

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content


class Route(NamedTuple):
    """An operation of the document. `bodies`: the schema of its body by media type."""

    path: str  # health
    method: str  # GET
    operation: str  # its operationId
    bodies: Mapping[str, Mapping[str, Any]]


def routes() -> Iterator[Route]:
    """Every operation of the document, in its order."""
    for path, item in document()["paths"].items():
        for method in (name for name in item if name in _METHODS):
            operation = item[method]
            content = operation.get("requestBody", {}).get("content", {})
            bodies = {kind: media["schema"] for kind, media in content.items()}
            yield Route(path.removeprefix("/"), method.upper(), operation["operationId"], bodies)


def binary_media_types() -> list[str]:
    """Media types of bodies that are no text, in the document's order."""
    kinds = (kind for route in routes() for kind in route.bodies if kind != JSON)
    return list(dict.fromkeys(kinds))
