"""What docs/api.md shows is what happens: commands, answers, limits."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
DOCUMENT = json.loads((ROOT / "lambda" / "api" / "openapi.json").read_text())
# A command, and the answer that is shown after it where there is one.
EXAMPLES = re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```bash\n(.*?)```\n+```json\n(.*?)```", PAGE, re.S)
NAMES = [heading for heading, _, _ in EXAMPLES]
FIXED = ("status", "code", "type", "title", "index", "succeeded", "failed", "expected_count")
"""Members whose value does not depend on photo, model and moment."""


def shape(value: Any, name: str = "") -> Any:
    """What stays of an answer whatever the model says: members, lengths of lists, and the values of FIXED."""
    if isinstance(value, dict):
        return {key: shape(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return value if name in FIXED else "..."


def assert_documented(answer: dict[str, Any]) -> None:
    """The answer is one that the document knows."""
    kinds = {"count": "Prediction", "results": "BatchAnswer", "endpoint": "Health", "code": "Problem"}
    (kind,) = [kind for member, kind in kinds.items() if member in answer]
    schema = {"$ref": f"#/components/schemas/{kind}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(answer)
    statuses = {item["code"]: item["status"] for item in DOCUMENT["x-problems"]}
    for problem in [answer, *(result.get("problem", {}) for result in answer.get("results", ()))]:
        if "code" in problem:
            assert statuses[problem["code"]] == problem["status"]


def test_every_command_of_the_page_has_an_answer() -> None:
    assert len(EXAMPLES) == PAGE.count("```bash\n") == PAGE.count("```json\n")
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(("command", "answer"), [example[1:] for example in EXAMPLES], ids=NAMES)
def test_answers_on_the_page_are_answers_of_the_document(command: str, answer: str) -> None:
    assert_documented(json.loads(answer))
    assert command.startswith('curl -s "$URL/')
    assert '-H "x-api-key: $KEY"' in command


@pytest.mark.parametrize("answer", [example[2] for example in EXAMPLES], ids=NAMES)
def test_decisions_on_the_page_follow_from_its_thresholds(answer: str) -> None:
    found = json.loads(answer)
    for item in [found, *(result.get("prediction", {}) for result in found.get("results", ()))]:
        if "count" in item:
            probabilities = item["probabilities"]
            assert sum(probabilities.values()) == pytest.approx(1)
            assert item["confidence"] == probabilities[str(item["count"])] == max(probabilities.values())
        if "decision" in item:
            expected = item["expected_probability"]
            assert expected == item["probabilities"][str(item["expected_count"])]
            assert item["matches"] == (item["count"] == item["expected_count"])
            assert item["decision"] == ("pass" if expected >= 0.8 else "fail" if expected <= 0.05 else "review")


def test_forms_of_a_request_are_all_on_the_page() -> None:
    commands = " ".join(command for _, command, _ in EXAMPLES)
    for word in ("image_url", "s3_uri", "--data-binary @", '"images"', "expected_count", "/health", "Idempotency-Key"):
        assert word in commands, word


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with photo.jpg, and the variables that the page's commands use, with a stand-in model in service."""
    from local.platform import running_emulator
    from local.settings import PREFIX, RAW_BUCKET
    from local.up import down, up
    from ops import environments, predict, runs, upload
    from ops.account import Account
    from tests.local.fake_laptop import FakeLaptop

    if not shutil.which("curl"):
        pytest.skip("the page's commands are curl's, which is not on this machine")
    folder = tmp_path_factory.mktemp("examples")
    laptop = FakeLaptop(folder, epochs=1)
    assert up(laptop.settings, StringIO(), laptop.image) == 0
    emulator = running_emulator(laptop.settings.build)
    assert emulator
    try:
        account = Account(environments.load("laptop"), emulator.child_environment)
        upload.upload(account, laptop.photos, PREFIX)
        arn = runs.wait_for_start(account, PREFIX, set(), every=0.2)
        deadline = time.monotonic() + 180
        while (run := runs.describe(account, arn)).outcome == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.2)
        assert run.outcome == "succeeded", run
        photo = sorted((laptop.photos / "bin-images").iterdir())[0]
        shutil.copy(photo, folder / "photo.jpg")
        s3 = account.client("s3")
        s3.upload_file(str(photo), RAW_BUCKET, f"{PREFIX}/bin-images/00001.jpg")
        # The emulated internet shows buckets, and this one as https://photos.example/bins/.
        s3.create_bucket(Bucket="bins", CreateBucketConfiguration={"LocationConstraint": account.region})
        s3.upload_file(str(photo), "bins", "00001.jpg")
        api = predict.api(account)
        assert api.key
        yield folder, {"URL": api.url.rstrip("/"), "KEY": api.key, "BUCKET": RAW_BUCKET, "PATH": os.environ["PATH"]}
    finally:
        down(laptop.settings.build, StringIO())


@pytest.mark.e2e
@pytest.mark.parametrize(("command", "answer"), [example[1:] for example in EXAMPLES], ids=NAMES)
def test_commands_of_the_page_are_answered_as_it_shows(
    place: tuple[Path, dict[str, str]], command: str, answer: str
) -> None:
    folder, variables = place
    done = subprocess.run(["bash", "-euc", command], cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert_documented(found)
    assert shape(found) == shape(json.loads(answer)), found


@pytest.mark.e2e
def test_the_python_of_the_page_prints_a_count_and_a_decision(place: tuple[Path, dict[str, str]]) -> None:
    folder, variables = place
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=variables, capture_output=True, text=True)
    assert re.fullmatch(r"[1-5] (pass|fail|review)\n", done.stdout), done.stderr
