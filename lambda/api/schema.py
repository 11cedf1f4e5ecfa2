"""Checks JSON against the schemas of openapi.json: the part of JSON Schema 2020-12 that they use, no more.

Written here and not imported, because a validator of the whole standard costs a cold start three times what the rest of
the function does, and its messages speak of schemas. Held against such a validator in the tests.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

KEYWORDS = {
    *("$ref", "type", "enum", "oneOf"),
    *("required", "properties", "additionalProperties"),
    *("minItems", "maxItems", "items"),
    *("minLength", "maxLength", "pattern"),
    *("minimum", "maximum"),
}
"""What is checked."""
ANNOTATIONS = {"title", "summary", "description", "examples", "format"}
"""What says something to people only."""

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "object": ((dict,), "an object"),
    "array": ((list,), "a list"),
    "string": ((str,), "a text"),
    "boolean": ((bool,), "true or false"),
    "null": ((type(None),), "null"),
    "integer": ((int, float), "a whole number"),
    "number": ((int, float), "a number"),
}

Schema = Mapping[str, Any]


def fault(value: Any, schema: Schema, root: Schema, name: str = "") -> str | None:
    """What is wrong with a value in one sentence that names the member, or None.

    `value` is as json.loads makes it; `root` is the document that `$ref`s point into; `name` is how a person would call
    the value, nothing for the whole body. KeyError for a `$ref` that leads nowhere.
    """
    schema = resolve(schema, root)
    shown = name or "the body"
    if "type" in schema and (wrong := _type(value, schema["type"], shown)):
        return wrong
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        return f"{shown} is {_short(value)}; it must be one of {', '.join(map(_short, schema['enum']))}"
    if "oneOf" in schema and (wrong := _one_of(value, schema["oneOf"], root, name)):
        return wrong
    if isinstance(value, str):
        return _text(value, schema, shown)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value, schema, shown)
    if isinstance(value, list):
        return _list(value, schema, root, name)
    if isinstance(value, dict):
        return _object(value, schema, root, name)
    return None


def resolve(schema: Schema, root: Schema) -> Schema:
    """The schema itself, or the one that its `$ref` (#/a/b) points to."""
    while "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = target
    return schema


def is_type(value: Any, name: str) -> bool:
    """Whether a value is of a type of JSON Schema: 3.0 is an integer, true is no number."""
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name][0])


def _type(value: Any, types: str | Sequence[str], shown: str) -> str | None:
    names = [types] if isinstance(types, str) else types
    if any(is_type(value, name) for name in names):
        return None
    is_what = next(text for name, (_, text) in _TYPES.items() if name != "integer" and is_type(value, name))
    if isinstance(value, (bool, int, float)):
        is_what = _short(value)
    return f"{shown} is {is_what}; it must be {' or '.join(_TYPES[name][1] for name in names)}"


def _text(value: str, schema: Schema, shown: str) -> str | None:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(value) < least:
        return f"{shown} is empty" if least == 1 else f"{shown} has {len(value)} characters; it must have {least}"
    if most is not None and len(value) > most:
        return f"{shown} has {len(value)} characters; it may have {most}"
    # Every pattern is ^...$ (tested), and Python's $ would let a line end pass.
    if "pattern" in schema and not re.fullmatch(schema["pattern"].removeprefix("^").removesuffix("$"), value):
        return f"{shown} must match {schema['pattern']}"
    return None


def _number(value: float, schema: Schema, shown: str) -> str | None:
    least, most = schema.get("minimum"), schema.get("maximum")
    if (least is None or value >= least) and (most is None or value <= most):
        return None
    bounds = f"from {least} to {most}" if None not in (least, most) else f"at {_bound(least, most)}"
    return f"{shown} is {_short(value)}; it must be {bounds}"


def _bound(least: float | None, most: float | None) -> str:
    return f"least {least}" if most is None else f"most {most}"


def _list(value: list[Any], schema: Schema, root: Schema, name: str) -> str | None:
    shown = name or "the body"
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < least:
        return f"{shown} is empty" if least == 1 else f"{shown} has {len(value)} items; it must have {least}"
    if most is not None and len(value) > most:
        return f"{shown} has {len(value)} items; it may have {most}"
    if "items" in schema:
        faults = (fault(item, schema["items"], root, f"{name}[{index}]") for index, item in enumerate(value))
        return next(filter(None, faults), None)
    return None


def _object(value: dict[str, Any], schema: Schema, root: Schema, name: str) -> str | None:
    shown, properties = name or "the body", schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            return f"{shown} lacks the member {key}"
    for key, item in value.items():
        if key in properties:
            if wrong := fault(item, properties[key], root, f"{name}.{key}" if name else key):
                return wrong
        elif schema.get("additionalProperties", True) is False:
            return f"{shown} has the unknown member {_short(key)}; there are {_join(properties, 'and')}"
    return None


def _one_of(value: Any, branches: Sequence[Schema], root: Schema, name: str) -> str | None:
    faults = [fault(value, branch, root, name) for branch in branches]
    if faults.count(None) == 1:
        return None
    shown = name or "the body"
    if faults.count(None) > 1:
        return f"{shown} can be read in more than one way"
    if not isinstance(value, dict):
        return faults[0]
    # The member that only one form has says which form was meant.
    required = [resolve(branch, root).get("required", ()) for branch in branches]
    given = [index for index, keys in enumerate(required) if any(key in value for key in keys)]
    if len(given) == 1:
        return faults[given[0]]
    found = _join([required[index][0] for index in given], "and") or "none of them"
    return f"{shown} must have exactly one of {_join([keys[0] for keys in required if keys], 'and')}; it has {found}"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _join(names: Any, word: str) -> str:
    *first, last = [*names] or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def _short(value: Any) -> str:
    """A value as part of a message: on one line, in ASCII, and never long."""
    text = ascii(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
