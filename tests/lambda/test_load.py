"""The tests load functions as Lambda does, whatever else was imported in their process."""

import sys
from types import ModuleType
from typing import Any

import pytest


def test_a_library_with_the_name_of_one_of_our_modules_is_put_aside(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    library = ModuleType("schema")
    monkeypatch.setitem(sys.modules, "schema", library)
    (ours,) = load("api", "schema")
    assert ours is not library
    assert ours.fault({}, {"type": "object"}, {}) is None
