"""The page docs/api-reference.md, written from the API's own document.

    python -m infra.api_reference        prints Markdown; `make reference` puts it in its place

A keyword of an operation or a schema that has no place on the page is an error, so that none gets lost.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.document import PATH, document

Json = Mapping[str, Any]

_KEYWORDS = {
    *("$ref", "oneOf", "type", "enum", "format", "description", "pattern", "minLength", "maxLength", "minimum"),
    *("maximum", "items", "minItems", "maxItems", "properties", "required", "additionalProperties"),
}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_SPEAKERS = {"function": "the function", "gateway": "API Gateway"}


class DocumentError(Exception):
    """The document says something that the page has no place for. The message names it."""


def page(api: Json) -> str:
    """The page as Markdown. DocumentError where the document says what is not known here."""
    info = api["info"]
    operations = [_operation(api, path, method) for path, item in api["paths"].items() for method in item]
    objects = [_object(name, schema) for name, schema in api["components"]["schemas"].items()]
    parts = [
        f"# {info['title']} API: reference",
        "Written by `make reference` from `lambda/api/openapi.json`, which the API serves under `/openapi.json`. How "
        "to use it, with commands to copy: [api.md](api.md).",
        f"Version {info['version']}. {info['summary']} {info['description']}",
        "## Who may call",
        "Every request, whatever its path, carries one of these headers:",
        _table(("header", "what"), [(f"`{item['name']}`", item["description"]) for item in _schemes(api)]),
        *operations,
        "## Objects",
        "Nothing but the members that are listed is taken or given, unless the object says otherwise.",
        *objects,
        "## Problems",
        "Every answer with a status from 400 on is a [Problem](#problem), and so is what failed in a batch. `code` is "
        "one of these:",
        problem_table(api),
    ]
    return "\n\n".join(parts) + "\n"


def problem_table(api: Json) -> str:
    """Every problem code with all that is said of it, in the order of the statuses."""
    rows = [_problem(item) for item in sorted(api["x-problems"], key=lambda item: int(item["status"]))]
    return _table(("code", "status", "title", "said by", "what it means", "what to do"), rows)


def _problem(said: Json) -> list[str]:
    _refuse_unknown(said, {"code", "status", "title", "by", "meaning", "remedy"}, f"problem {said['code']}")
    speakers = _listed([_SPEAKERS[name] for name in said["by"]])
    return [f"`{said['code']}`", str(said["status"]), said["title"], speakers, said["meaning"], said["remedy"]]


def _schemes(api: Json) -> list[Json]:
    schemes = api["components"]["securitySchemes"]
    return [schemes[name] for alternative in api["security"] for name in alternative]


def _operation(api: Json, path: str, method: str) -> str:
    said = api["paths"][path][method]
    known = {"operationId", "tags", "summary", "description", "parameters", "requestBody", "responses"}
    _refuse_unknown(said, known, f"{method} {path}")
    parts = [f"## {method.upper()} {path}", ". ".join([said["summary"], *filter(None, [said.get("description")])])]
    if not parts[-1].endswith("."):
        parts[-1] += "."
    if rows := [
        [f"`{item['name']}`", item["in"], _kind(item["schema"]), _yes(item["required"]), item["description"]]
        for item in said.get("parameters", ())
    ]:
        parts.append(_table(("parameter", "in", "type", "required", "what"), rows))
    if body := said.get("requestBody"):
        rows = [[f"`{name}`", *_cells(content["schema"])] for name, content in body["content"].items()]
        parts.append(_table(("body's Content-Type", "type", "what"), rows))
        parts += [
            _example(item) for content in body["content"].values() for item in content.get("examples", {}).values()
        ]
    rows = [_answer(api, status, response) for status, response in said["responses"].items()]
    parts.append(_table(("answer", "type", "headers", "when"), rows))
    return "\n\n".join(parts)


def _example(example: Json) -> str:
    return f"{example['summary']}:\n\n```json\n{json.dumps(example['value'])}\n```"


def _answer(api: Json, status: str, response: Json) -> list[str]:
    if "$ref" in response:
        response = api["components"]["responses"][_name(response["$ref"])]
    (content,) = response["content"].values()
    headers = [f"`{name}`: {header['description']}" for name, header in response.get("headers", {}).items()]
    return [status, _kind(content["schema"]), " ".join(headers), response["description"]]


def _object(name: str, schema: Json) -> str:
    parts = [f"### {name}"]
    if description := schema.get("description"):
        parts.append(description)
    if "oneOf" in schema:
        _refuse_unknown(schema, {"oneOf", "description"}, name)
        parts.append(f"One of {_kind(schema)}.")
    else:
        parts.append(_table(("member", "type", "required", "what"), list(_members(schema))))
        if schema.get("additionalProperties", True):
            parts.append("Other members may come.")
    return "\n\n".join(parts)


def _members(schema: Json, inside: str = "", outer: bool = True) -> Iterator[list[str]]:
    """A row for each member, and for each member of its own objects."""
    _refuse_unknown(schema, _KEYWORDS, inside.rstrip(".") or "an object")
    for name, member in schema["properties"].items():
        required = outer and name in schema.get("required", ())
        yield [f"`{inside}{name}`", _kind(member), _yes(required), member.get("description", "")]
        if "properties" in member:
            yield from _members(member, f"{inside}{name}.", required)


def _cells(schema: Json) -> list[str]:
    return [_kind(schema), schema.get("description", "")]


def _kind(schema: Json) -> str:
    """What a value may be, in words."""
    _refuse_unknown(schema, _KEYWORDS, "a schema")
    if "$ref" in schema:
        name = _name(schema["$ref"])
        return f"[{name}](#{name.lower()})"
    if "oneOf" in schema:
        return _listed([_kind(item) for item in schema["oneOf"]])
    if "enum" in schema:
        return _listed([f"`{value}`" for value in schema["enum"]])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return _listed([_plain(schema, name) for name in types])


def _plain(schema: Json, name: str) -> str:
    if name == "array":
        return f"list of {_range(schema, 'minItems', 'maxItems', ' to ')} {_kind(schema['items'])}"
    if name == "object":
        return "object"
    if name not in _TYPES:
        raise DocumentError(f"{PATH.name} has the type {name!r}; say in {__name__} what a person calls it")
    if schema.get("format") == "binary":
        return "bytes"
    words = [_TYPES[name]]
    if name in ("integer", "number") and (bounds := _range(schema, "minimum", "maximum", " to ")):
        words.append(f"from {bounds}" if "maximum" in schema else f"of at least {schema['minimum']}")
    if name == "string":
        if bounds := _range(schema, "minLength", "maxLength", " to "):
            words.append(f"of {bounds} characters")
        if "pattern" in schema:
            words.append(f"like `{schema['pattern']}`")
    return " ".join(words)


def _range(schema: Json, low: str, high: str, between: str) -> str:
    return between.join(str(schema[name]) for name in (low, high) if name in schema)


def _listed(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _yes(required: bool) -> str:
    return "yes" if required else "no"


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a column without a word in it is left out."""
    kept = [index for index in range(len(header)) if any(row[index] for row in rows)]
    first, *others = [
        "| " + " | ".join(row[index].replace("|", "\\|") for index in kept) + " |" for row in (header, *rows)
    ]
    return "\n".join([first, "|" + "---|" * len(kept), *others])


def _refuse_unknown(said: Json, known: set[str], where: str) -> None:
    if unknown := sorted(set(said) - known):
        raise DocumentError(f"{PATH.name}: {where} says {unknown}, which {__name__} has no place for; give it one")


def main() -> None:
    """Print the page."""
    argparse.ArgumentParser(
        prog="python -m infra.api_reference", description="Markdown of docs/api-reference.md"
    ).parse_args()
    print(page(document()), end="")


if __name__ == "__main__":
    main()
