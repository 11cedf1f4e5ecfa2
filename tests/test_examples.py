"""What docs/api.md shows is what happens: commands, answers, limits."""

import json
import os
import re
import shutil
import subprocess
import sys
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
DOWNLOAD = 'curl -s "$URL/openapi.json" -H "x-api-key: $KEY" -o openapi.json\n'
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
    known = {item["code"]: item for item in DOCUMENT["x-problems"]}
    for problem in [answer, *(result.get("problem", {}) for result in answer.get("results", ()))]:
        if "code" in problem:
            said = known[problem["code"]]
            assert (problem["status"], problem["title"]) == (said["status"], said["title"])


def test_every_command_of_the_page_has_an_answer_or_saves_the_document() -> None:
    commands = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    assert [command for command in commands if command not in {example[1] for example in EXAMPLES}] == [DOWNLOAD]
    assert len(EXAMPLES) == PAGE.count("```json\n") >= 6


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


LIMITS = """
import json, sys
sys.path[:0] = ["lambda/api", "model_code"]
import fetch, handler, incoming, redirects, urls
from infra.settings import Api
from tally.predictor import Limits
MIB = 1024 * 1024
images = incoming.document()["components"]["schemas"]["Batch"]["properties"]["images"]
api = Api()
print(json.dumps({
    "photo as the body": f"{incoming.MAX_BODY // MIB} MiB",
    "JSON as the body": f"{incoming.MAX_JSON // 1024} KiB",
    "photo by URL or from S3, unpacked": f"{fetch.MAX_BYTES // MIB} MiB",
    "pixels of a photo": f"{Limits().max_pixels:,}",
    "photos in one request": f"{images['maxItems']}",
    "`image_url`": f"{urls.MAX_URL} characters, {redirects.MAX_REDIRECTS} redirects",
    "time to get a photo": f"{handler.FETCH_SECONDS:g} s",
    "time for an answer": f"{handler.TOTAL_SECONDS:g} s",
    "requests of all callers, and of one key": f"{api.requests_per_second} a second, in bursts of {api.burst} "
    "(`api.requests_per_second`, `api.burst`)",
    "requests of one key in a day": f"{api.requests_per_day:,} (`api.requests_per_day`)",
    "requests from one address in five minutes": f"{api.requests_per_ip:,} (`api.requests_per_ip`)",
    "": [api.pass_probability, api.fail_probability, api.raw_prefixes],
}))
"""


def test_limits_and_thresholds_on_the_page_are_those_of_the_code() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    limits = json.loads(done.stdout)
    passes, fails, places = limits.pop("")
    written = dict(re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.split("## Limits\n")[1], re.M))
    assert written == {"what": "limit", **limits}
    assert f"at least `api.pass_probability`, {passes:g} unless set otherwise" in PAGE
    assert f"at most `api.fail_probability`, {fails:g} unless set otherwise" in PAGE
    assert f"`api.raw_prefixes` (`{'`, `'.join(places)}` unless set otherwise)" in PAGE


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with photo.jpg, and the variables that the page's commands use, with a stand-in model in service."""
    from local.settings import PREFIX, RAW_BUCKET
    from local.up import down
    from ops import predict
    from tests.local.rehearsal import Rehearsal

    if not shutil.which("curl"):
        pytest.skip("the page's commands are curl's, which is not on this machine")
    folder = tmp_path_factory.mktemp("examples")
    rehearsal = Rehearsal(folder)
    try:
        assert rehearsal.run().outcome == "succeeded"
        photo = rehearsal.photos / rehearsal.any_key.removeprefix(f"{PREFIX}/")
        shutil.copy(photo, folder / "photo.jpg")
        s3 = rehearsal.account.client("s3")
        s3.upload_file(str(photo), RAW_BUCKET, f"{PREFIX}/bin-images/00001.jpg")
        # The emulated internet shows buckets, and this one as https://photos.example/bins/.
        s3.create_bucket(Bucket="bins", CreateBucketConfiguration={"LocationConstraint": rehearsal.account.region})
        s3.upload_file(str(photo), "bins", "00001.jpg")
        api = predict.api(rehearsal.account)
        assert api.key
        variables = {"URL": api.url.rstrip("/"), "KEY": api.key, "BUCKET": RAW_BUCKET, "PATH": os.environ["PATH"]}
        yield folder, variables
    finally:
        down(rehearsal.build, StringIO())


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
def test_the_document_is_saved_as_it_is(place: tuple[Path, dict[str, str]]) -> None:
    folder, variables = place
    subprocess.run(["bash", "-euc", DOWNLOAD], cwd=folder, env=variables, check=True)
    assert json.loads((folder / "openapi.json").read_text()) == DOCUMENT


@pytest.mark.e2e
def test_the_python_of_the_page_prints_a_count_and_a_decision(place: tuple[Path, dict[str, str]]) -> None:
    folder, variables = place
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=variables, capture_output=True, text=True)
    assert re.fullmatch(r"[1-5] (pass|fail|review)\n", done.stdout), done.stderr
