"""docs/api-reference.md says what lambda/api/openapi.json says, all of it, and today's."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.api_reference import DocumentError, page
from infra.document import PATH

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api-reference.md").read_text()


@pytest.fixture
def document() -> Any:
    return json.loads(PATH.read_text())


def rows(text: str) -> list[list[str]]:
    """Cells of every row of every table, without the lines below headers."""
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert lines
    return lines


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a document that has members named `properties`."""
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield value
        for inner in value.values():
            yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def test_the_page_is_the_one_of_today(document: Any) -> None:
    assert page(document) == PAGE, "docs/api-reference.md is old: make reference"


def test_the_command_prints_the_page() -> None:
    command = [sys.executable, "-m", "infra.api_reference"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == PAGE


def test_every_problem_has_one_row_with_all_that_is_said_of_it(document: Any) -> None:
    found = rows(PAGE.split("\n## Problems\n")[1])[1:]
    assert sorted(row[0] for row in found) == sorted(f"`{item['code']}`" for item in document["x-problems"])
    said = {row[0].strip("`"): row[1:] for row in found}
    for item in document["x-problems"]:
        status, title, speakers, *sentences = said[item["code"]]
        assert (status, title, *sentences) == (str(item["status"]), item["title"], item["meaning"], item["remedy"])
        assert ("function" in speakers, "API Gateway" in speakers) == (
            "function" in item["by"],
            "gateway" in item["by"],
        )


def test_every_path_and_object_has_a_section_with_all_its_members(document: Any) -> None:
    sections = {part.splitlines()[0]: part for part in re.split(r"^##+ ", PAGE, flags=re.M)[1:]}
    for path, item in document["paths"].items():
        for method, said in item.items():
            section = sections[f"{method.upper()} {path}"]
            for parameter in said.get("parameters", ()):
                assert parameter["description"] in section
            assert {row[0] for row in rows(section)} >= set(said["responses"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description", "") in sections[name]
        for inner in schemas(schema):
            for member, said in inner["properties"].items():
                (row,) = [row for row in rows(sections[name]) if re.search(rf"[`.]{member}`$", row[0])]
                assert said.get("description", "") in row[-1]


def test_every_link_leads_to_a_section() -> None:
    headings = {heading.lower() for heading in re.findall(r"^##+ (\S+)$", PAGE, re.M)}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= headings


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("components", "schemas", "Batch", "properties", "images", "uniqueItems"), True, "uniqueItems"),
        (("components", "schemas", "Photo", "allOf"), [], "allOf"),
        (("components", "schemas", "Model", "patternProperties"), {}, "patternProperties"),
        (("paths", "/health", "get", "deprecated"), True, "get /health"),
        (("components", "schemas", "Model", "properties", "file", "type"), "decimal", "decimal"),
        (("x-problems", 0, "since"), "1.1.0", "problem bad_request"),
    ],
)
def test_what_the_page_has_no_place_for_is_an_error(
    document: Any, place: tuple[str | int, ...], value: Any, said: str
) -> None:
    *way, last = place
    inner = copy.deepcopy(document)
    outer = inner
    for name in way:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(DocumentError, match=said):
        page(outer)


def test_a_bar_in_a_text_does_not_end_its_cell(document: Any) -> None:
    document["x-problems"] = [{**document["x-problems"][0], "meaning": "this|that"}]
    assert "| this\\|that |" in page(document)
