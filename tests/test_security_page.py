"""Every defence that docs/security.md speaks of is in a file that exists, and shown by a test that exists."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
_HEADER = "| what somebody tries | what stops it | where | shown by |"
_TEST = re.compile(r"`(tests/[\w/.]+\.py)::(test_\w+)`")


def defences() -> dict[str, list[str]]:
    """Rows of the tables of defences: the other cells by what somebody tries."""
    tables = PAGE.split(f"{_HEADER}\n|---|---|---|---|\n")[1:]
    lines = [line for table in tables for line in table.split("\n\n")[0].splitlines()]
    rows = [line.strip("| ").split(" | ") for line in lines]
    assert all(len(row) == 4 for row in rows), [row for row in rows if len(row) != 4]
    found = {row[0]: row[1:] for row in rows}
    assert len(found) == len(rows), "a row stands there twice"
    return found


@cache
def names_of(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_the_page_has_tables_of_defences() -> None:
    assert PAGE.count(_HEADER) >= 6
    assert len(defences()) >= 30


@pytest.mark.parametrize("threat", defences())
def test_a_defence_is_in_files_that_exist_and_has_a_test_that_exists(threat: str) -> None:
    _, where, shown = defences()[threat]
    files = re.findall(r"`([^`]+)`", where)
    assert files, f"{threat}: no file is named"
    for name in files:
        assert (ROOT / name).is_file(), f"{threat}: there is no {name}"
    named = _TEST.findall(shown)
    assert len(named) == shown.count("`") // 2, f"{threat}: a test is written `tests/FILE.py::test_NAME`, not {shown}"
    assert named, f"{threat}: no test is named"
    for file, name in named:
        assert (ROOT / file).is_file(), f"{threat}: there is no {file}"
        assert name in names_of(ROOT / file), f"{threat}: {file} has no {name}"


def test_every_module_of_the_function_that_meets_strangers_is_on_the_page() -> None:
    modules = {f"lambda/api/{file.name}" for file in (ROOT / "lambda" / "api").glob("*.py")}
    named = {name for _, where, _ in defences().values() for name in re.findall(r"`([^`]+)`", where)}
    # What these are given was checked before, or comes from this repository.
    helpers = {f"lambda/api/{name}.py" for name in ("aws_clients", "decisions", "document")}
    assert modules - named <= helpers, (
        f"say what {sorted(modules - named - helpers)} defend against, in docs/security.md"
    )


NUMBERS = """
import json, sys
sys.path[:0] = ["lambda/api", "model_code"]
import about, deadline, document, fetch, handler, incoming, redirects
from tally import damage, predictor, server
images = document.document()["components"]["schemas"]["Batch"]["properties"]["images"]["maxItems"]
print(json.dumps([
    f"at most {redirects.MAX_REDIRECTS}; each target is read",
    f"{fetch._MAX_TRIED} addresses are tried; at most {deadline._MAX_THREADS} threads wait",
    f"{predictor.Limits().max_pixels // 10**6} million pixels at most",
    f"{images} photos, at most {handler._THREADS} side by side",
    f"{incoming.MAX_BODY // 2**20} MiB of photo, {incoming.MAX_JSON // 2**10} KiB of JSON",
    f"scans are counted before anything is decoded; {damage.MAX_SCANS} at most",
    f"which may take {server._BODY_SECONDS:g} s",
    f"holds for {about.KEEP_SECONDS:g} s",
]))
"""


def test_numbers_on_the_page_are_those_of_the_code() -> None:
    done = subprocess.run([sys.executable, "-c", NUMBERS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [phrase for phrase in json.loads(done.stdout) if phrase not in PAGE] == []
