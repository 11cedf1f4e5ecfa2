"""The guides say what the code says: alarms, sections that messages point to, verbs."""

import re
from pathlib import Path

import pytest

from infra.alarms import table
from ops.environments import load
from ops.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]
GUIDES = {name: (ROOT / "docs" / name).read_text() for name in ("deploy.md", "operations.md")}


def test_the_table_of_alarms_is_the_one_the_stacks_are_made_from() -> None:
    written = GUIDES["operations.md"].split("<!-- alarms -->\n")[1].split("\n<!-- /alarms -->")[0]
    assert written == table(load("dev")), "put infra.alarms.table(...) of the environment dev into docs/operations.md"


def test_sections_that_messages_point_to_exist() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "ops").glob("*.py"))
    pointers = re.findall(r"docs/(\w+\.md), ?\"?\s*\"?'([^']+)'", sources)
    assert ("operations.md", "A stack is in UPDATE_ROLLBACK_FAILED") in pointers
    for page, section in pointers:
        assert re.search(rf"^##+ {re.escape(section)}$", GUIDES[page], re.M), (page, section)


@pytest.mark.parametrize("name", GUIDES)
def test_verbs_that_are_named_exist(name: str) -> None:
    for verb in re.findall(r"python -m ops (\w+)", GUIDES[name]):
        assert verb in VERBS or verb == "VERB"
