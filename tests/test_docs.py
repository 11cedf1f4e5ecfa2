"""The documents say only what exists: targets, options, parameters, files."""

import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MEASUREMENTS = ("benchmarks", "experiments")
MODULES = sorted(file for folder in MEASUREMENTS for file in (ROOT / folder).rglob("*.py"))
COMMAND = (
    r"(?:PYTHONPATH=(\S+) )?\S*python -m ((?:local|ops|infra|pipeline|tally|benchmarks|experiments)[\w.]*)([^\n|]*)"
)
MAKEFILE = (ROOT / "Makefile").read_text()
VARIABLES = {  # by their list in the Makefile, which may go on in further lines
    name: set(re.findall(r"[A-Z_0-9]+", words))
    for name, words in re.findall(r"^(\w+)_VARIABLES := ((?:.*\\\n)*.*)", MAKEFILE, re.M)
}
MAKE_VARIABLES = set.union(*VARIABLES.values()) | {"SHUFFLE_LABELS", "SHARE", "QUICK", "BUILD", "PYTHON"}


# As `python -m` does, but for the garbage collector: some of the modules import torch.
RUN = """
import gc, os, runpy, sys
gc.disable()
del sys.argv[0]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    sys.stdout.flush()
    os._exit(end.code or 0)
"""


@cache
def help_text(module: str, *command: str, path: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-c", RUN, module, *command, "--help"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def code(page: Path) -> str:
    """Code blocks and inline code of a page; of a module its docstring, which says how to run it."""
    text = page.read_text()
    if page.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    return "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_and_variables_exist(page: Path) -> None:
    for line in re.findall(r"^\s*(?:\$ )?make ([^#\n]*)", code(page), re.M):
        words = line.split()
        for word in words:
            name, is_variable, _ = word.partition("=")
            if is_variable:
                assert name in MAKE_VARIABLES, f"{page.name}: make has no variable {name}"
            elif re.fullmatch(r"[a-z0-9-]+", word):
                assert re.search(rf"^{word}:", MAKEFILE, re.M), f"{page.name}: make has no target {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    for name in named:
        assert (page.parent / name).exists(), f"{page.name} links to {name}"
    for name in re.findall(
        r"`((?:docs|model_code|pipeline|infra|ops|local|lambda|tests|requirements|benchmarks|experiments)/[\w./-]+)`",
        page.read_text(),
    ):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_of_our_commands_exist(page: Path) -> None:
    check_options(page, ("local", "ops", "infra", "pipeline"))  # the container's are tested with it


@pytest.mark.e2e  # each module is started, and most import torch
@pytest.mark.parametrize("page", [*PAGES, *MODULES], ids=lambda page: str(page.relative_to(ROOT)))
def test_options_of_measurements_exist(page: Path) -> None:
    check_options(page, MEASUREMENTS)


def check_options(page: Path, packages: tuple[str, ...]) -> None:
    for path, module, rest in re.findall(COMMAND, code(page).replace("\\\n", " ")):
        words = rest.split()
        commands = [word for word in words[:1] if re.fullmatch(r"[a-z]+", word)]
        options = re.findall(r"--[a-z-]+", rest)
        if module.partition(".")[0] not in packages:
            continue
        if module.startswith(MEASUREMENTS) and not options:  # some have no --help
            place = ROOT / module.replace(".", "/")
            there = place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
            assert there, f"{page.name}: there is no {module}"
            continue
        text = help_text(module, *commands, path=path)
        for option in options:
            assert option in text, f"{page.name}: {module} has no option {option}"


def test_every_option_of_the_runner_is_a_variable_of_make_and_back() -> None:
    options = set(re.findall(r"^  (--[a-z-]+)", help_text("local", "run"), re.M)) - {"--build"}
    assert options == set(re.findall(r"^  (--[a-z-]+)", help_text("local", "up"), re.M)) - {"--build"}
    assert options == {f"--{name.lower().replace('_', '-')}" for name in VARIABLES["RUN"]}


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"\$\(OPS\) ([a-z]+)", MAKEFILE))))
def test_every_operating_target_passes_options_that_its_command_has(verb: str) -> None:
    words = [f"{name}=it's" for name in [*VARIABLES["OPS"], "DATA", "PARAMETER"]]
    done = subprocess.run(["make", "-n", verb, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if f" -m ops {verb}" in line]
    assert shlex.split(line)[-1] in ("it's", verb)  # a value stays one word, whatever is in it
    for option in re.findall(r" (--[a-z0-9-]+)", line):
        assert f"{option} " in help_text("ops", verb), option


@pytest.mark.parametrize(("target", "variable"), [("upload", "DATA"), ("approve", "VERSION")])
def test_what_a_target_cannot_do_without_is_named(target: str, variable: str) -> None:
    done = subprocess.run(["make", "-n", target, "ENV=dev"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"say {variable}, as in: make {target} ENV=dev {variable}=" in done.stderr


def test_make_passes_only_what_its_command_line_says() -> None:
    def command(*words: str) -> str:
        environment = {**os.environ, "PORT": "80", "DATA": "elsewhere"}
        done = subprocess.run(["make", "-n", "run", *words], cwd=ROOT, env=environment, capture_output=True, text=True)
        (line,) = [line for line in done.stdout.splitlines() if " -m local run" in line]
        return " ".join(line.split())

    assert command() == ".venv/bin/python -m local run --build 'build/run'"
    assert command("HPO_JOBS=5", "DATA=a b", "BUILD=x").endswith("--build 'x' --data 'a b' --hpo-jobs '5'")


def test_the_limits_of_the_rehearsal_are_those_of_the_emulator() -> None:
    from local.emulator.limits import table

    assert table() in (ROOT / "docs" / "rehearsal.md").read_text()


def test_make_help_lists_every_target_a_person_would_type() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("run", "up", "down", "options", "deploy", "rollback", "destroy", "test", "e2e", "lint", "clean"):
        assert re.search(rf"^{target} ", listed, re.M), target
