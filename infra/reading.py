"""Reads a frozen dataclass of settings from JSON, and says by its path what is wrong: environments.prod.api.auth is ...

Knows dataclasses, texts, whole and other numbers, true and false, `Literal`, tuples of texts, mappings, and None.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal


class SettingsError(Exception):
    """A setting cannot be used. The message names the key, the value and what is allowed."""


class RefusedError(Exception):
    """A value that a dataclass refuses, before its place in cdk.json is known."""


def refuse(key: str, value: object, allowed: str) -> typing.NoReturn:
    """For `__post_init__` of settings; `key` as in the dataclass, `allowed` completes "it must be"."""
    raise RefusedError(f"{key} is {value!r}; it must be {allowed}")


def in_range(settings: object, **limits: tuple[float, float]) -> None:
    """Refuse the first setting that is not within its limits, both allowed."""
    for key, (low, high) in limits.items():
        value = getattr(settings, key)
        if not low <= value <= high:
            refuse(key, value, f"{low} to {high}")


def read(kind: type, values: Any, path: str) -> Any:
    """A `kind` from an object of JSON that stands at `path`; SettingsError names key, value and what is allowed."""
    if not isinstance(values, Mapping):
        raise SettingsError(f"{path} is {values!r}; it must be an object")
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    for key in values:
        if key not in known:
            raise SettingsError(
                f"{path}.{key} is not a setting; there are: {', '.join(sorted(known - {'environment'}))}"
            )
    given = {key: _value(hints[key], value, f"{path}.{key}") for key, value in values.items()}
    try:
        return kind(**given)
    except RefusedError as error:
        raise SettingsError(f"{path}.{error}") from error


def _value(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return read(typing.cast(type, hint), value, path)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if value is None and type(None) in inner:
            return None
        choices = tuple(item for item in inner if item is not type(None))
        if not isinstance(value, choices) or isinstance(value, bool):
            raise _wrong(path, value, " or ".join(item.__name__ for item in choices))
        return value
    if origin is Literal:
        if value not in inner:
            raise _wrong(path, value, " or ".join(map(repr, inner)))
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise _wrong(path, value, "a list of texts")
        return tuple(value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(path, value, "an object of names and values")
        return {str(key): _value(inner[1], item, f"{path}.{key}") for key, item in value.items()}
    taken = (int, float) if hint is float else hint
    if not isinstance(value, taken) or (hint is not bool and isinstance(value, bool)):
        raise _wrong(path, value, _WORDS[hint])
    return value


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _wrong(path: str, value: object, allowed: str) -> SettingsError:
    return SettingsError(f"{path} is {value!r}; it must be {allowed}")
