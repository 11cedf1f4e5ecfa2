"""Holds an answer of the API's functions against openapi.json and against what API Gateway takes from a function."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "lambda" / "api" / "openapi.json").read_text())
PROBLEMS = {problem["code"]: problem for problem in DOCUMENT["x-problems"]}


def check(response: Any, path: str = "/predictions", method: str = "post") -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers of an answer that is one of those which the document gives for this request."""
    assert set(response) == {"statusCode", "headers", "body", "isBase64Encoded"}
    status, headers, text = response["statusCode"], response["headers"], response["body"]
    assert type(status) is int
    assert response["isBase64Encoded"] is False
    assert isinstance(text, str)
    text.encode()
    for name, value in headers.items():
        assert isinstance(value, str), name
        assert value.isascii(), name
        assert value.isprintable(), name  # what ends a line would begin another header
    media_type = headers["Content-Type"]
    assert "Cache-Control" in headers
    body = json.loads(text, parse_constant=_no_number)
    validator(path, method, str(status), media_type).validate(body)
    if status != 200:
        _check_problem(status, body, headers, media_type)
    return status, body, headers


def _check_problem(status: int, body: dict[str, Any], headers: dict[str, str], media_type: str) -> None:
    assert media_type == "application/problem+json"
    code = PROBLEMS[body["code"]]
    assert "function" in code["by"]
    assert code["status"] == body["status"] == status
    assert body["type"] == f"urn:tally:problem:{body['code']}"
    assert body["title"] == code["title"]
    assert body["detail"]
    assert body["request_id"]
    assert "Traceback" not in body["detail"]
    assert ("Retry-After" in headers) == (body["code"] in ("no_model", "busy"))


@cache
def validator(path: str, method: str, status: str, media_type: str) -> Draft202012Validator:
    """Judges bodies of an answer as the document says; KeyError for an answer that it does not give."""
    response = DOCUMENT["paths"][path][method]["responses"][status]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return of_schema(response["content"][media_type]["schema"])


def of_schema(schema: dict[str, Any]) -> Draft202012Validator:
    """Judges values by a schema of the document, which may refer to others of it."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
