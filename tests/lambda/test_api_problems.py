"""Every problem of the document is raised somewhere, and no other is: read from the code itself."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

answers: Any = import_module("tests.lambda.answers")

FOLDER = Path(__file__).resolve().parents[2] / "lambda" / "api"
OURS = {code for code, problem in answers.PROBLEMS.items() if "function" in problem["by"]}


def raised() -> Iterator[tuple[str, ast.expr]]:
    """The first argument of each ProblemError that is made, with the file it stands in."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ProblemError":
                yield file.name, node.args[0]


def test_every_code_that_is_raised_is_one_of_the_functions_own() -> None:
    literal = {node.value for _, node in raised() if isinstance(node, ast.Constant)}
    assert literal <= OURS
    # One place takes a code from a table: what the model's server says of a photo.
    assert {file for file, node in raised() if not isinstance(node, ast.Constant)} <= {"counting.py"}


def test_every_code_of_the_functions_is_raised_somewhere() -> None:
    table = {
        node.value
        for node in ast.walk(ast.parse((FOLDER / "counting.py").read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {node.value for _, node in raised() if isinstance(node, ast.Constant)} | table >= OURS


def test_every_code_that_counting_takes_from_a_table_is_the_functions_own(load: Any) -> None:
    (counting,) = load("api", "counting")
    assert {*counting._FAULTS.values(), *counting._FAULTS_BY_STATUS.values()} <= OURS


@pytest.mark.parametrize("code", sorted(answers.PROBLEMS))
def test_a_problem_is_rendered_as_the_document_says(load: Any, code: str) -> None:
    (problems,) = load("api", "problems")
    response = problems.render(problems.ProblemError(code, "words", retry_after=3), "id", {"Idempotency-Key": "a"})
    assert response["statusCode"] == answers.PROBLEMS[code]["status"]
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    assert response["headers"] == {**headers, "Retry-After": "3", "Idempotency-Key": "a"}
    answers.of_schema(answers.DOCUMENT["components"]["schemas"]["Problem"]).validate(
        problems.ProblemError(code, "words").body("id")
    )


def test_a_code_that_the_document_does_not_know_cannot_be_raised(load: Any) -> None:
    module: ModuleType = load("api", "problems")[0]
    with pytest.raises(KeyError):
        module.ProblemError("made_up", "words")


def test_codes_are_stable_names() -> None:
    assert len(answers.PROBLEMS) == len(answers.DOCUMENT["x-problems"])
    assert all(code.replace("_", "").isalpha() and code.islower() for code in answers.PROBLEMS)
    for problem in answers.PROBLEMS.values():
        assert set(problem) == {"code", "status", "title", "by", "meaning", "remedy"}
        assert set(problem["by"]) <= {"function", "gateway"}
