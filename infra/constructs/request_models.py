"""API Gateway's models of requests, made from the schemas of the API's document.

The document speaks JSON Schema 2020-12 with references; a model speaks draft 4, has no document to refer to, and is
checked before the function runs. Both must take the same bodies: a model that is stricter refuses what is documented.
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_apigateway as apigateway

from infra.document import document

_ANNOTATIONS = frozenset({"description", "title", "examples", "default", "deprecated", "$comment"})
_SAME = frozenset({"additionalProperties", "enum", "maximum", "maxItems", "maxLength", "minimum", "minItems"})
_SAME |= {"minLength", "pattern", "required"}  # what both drafts have, with the same meaning
_PREFIX = "#/components/schemas/"


def draft4(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a request in draft 4: references written out, annotations left away.

    ValueError for a keyword whose meaning in draft 4 is not known here, and for a schema that contains itself.
    """
    return _draft4(schema, ())


def add_request_model(api: apigateway.RestApi, name: str, schema: Mapping[str, Any]) -> apigateway.Model:
    """A model of bodies sent as application/json; a change of the schema makes a new deployment."""
    made = {"schema": apigateway.JsonSchemaVersion.DRAFT4, "title": name, **draft4(schema)}
    return api.add_model(name, schema=_construct(made))


def _draft4(schema: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
    if reference := schema.get("$ref"):
        name = str(reference).removeprefix(_PREFIX)
        if name in inside:
            raise ValueError(f"openapi.json: the schema {name} contains itself, which a model of API Gateway cannot")
        return _draft4(document()["components"]["schemas"][name], (*inside, name))
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        if keyword == "type":
            made |= _type(value)
        elif keyword == "items":
            made[keyword] = _draft4(value, inside)
        elif keyword == "oneOf":
            made[keyword] = [_draft4(item, inside) for item in value]
        elif keyword == "properties":
            made[keyword] = {name: _draft4(item, inside) for name, item in value.items()}
        elif keyword in _SAME:
            made[keyword] = value
        else:
            raise ValueError(
                f"openapi.json: the keyword {keyword!r} in the schema of a request has no meaning in draft 4 that is "
                f"known here; write the schema without it, or teach it to infra/constructs/request_models.py"
            )
    return made


def _type(value: Any) -> dict[str, Any]:
    if value == "integer":  # 3.0 is one since draft 6, and was none in draft 4
        return {"type": "number", "multipleOf": 1}
    if not isinstance(value, str):
        raise ValueError(f"openapi.json: the schema of a request has the type {value!r}; a model takes only one")
    return {"type": value}


_ARGUMENTS = {
    "additionalProperties": "additional_properties",
    "maxItems": "max_items",
    "maxLength": "max_length",
    "minItems": "min_items",
    "minLength": "min_length",
    "multipleOf": "multiple_of",
    "oneOf": "one_of",
}


def _construct(schema: Mapping[str, Any]) -> apigateway.JsonSchema:
    """The schema as CDK wants it: so it counts for whether a new deployment is needed."""
    arguments = {}
    for keyword, value in schema.items():
        if keyword == "type":
            value = apigateway.JsonSchemaType[value.upper()]
        elif keyword == "items":
            value = _construct(value)
        elif keyword == "oneOf":
            value = [_construct(item) for item in value]
        elif keyword == "properties":
            value = {name: _construct(item) for name, item in value.items()}
        arguments[_ARGUMENTS.get(keyword, keyword)] = value
    return apigateway.JsonSchema(**arguments)
