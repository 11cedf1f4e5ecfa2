"""The API's own description, `openapi.json`: what requests may be, and every problem that an answer may name."""

import json
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("openapi.json")


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content


@cache
def problems() -> dict[str, dict[str, Any]]:
    """Every problem by its code: status, title, meaning, remedy, and who says it."""
    return {problem["code"]: problem for problem in document()["x-problems"]}
