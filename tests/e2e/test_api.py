"""The deployed API, asked by strangers: schemathesis with the document in hand, and sixteen callers of every kind."""

import copy
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from benchmarks import api_load
from benchmarks.api_place import find_place, own_key
from benchmarks.api_requests import Place
from infra.document import document
from local.emulator.internet.sites import PHOTOS
from local.platform import running_emulator
from local.up import down
from ops import predict
from tests.local.rehearsal import Rehearsal

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = 200  # most requests that are made up of an operation
_LOAD_SECONDS = 120
_CALLERS = 16


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A platform with a model in service."""
    built = Rehearsal(tmp_path_factory.mktemp("platform"))
    try:
        assert built.run(served_count=3).outcome == "succeeded"
        yield built
    finally:
        if running_emulator(built.build):
            down(built.build, io.StringIO())


def with_real_examples(place: Place) -> dict[str, Any]:
    """The document, with photos that there are in its examples."""
    uri, url = f"s3://{place.bucket}/{place.keys[0]}", f"https://{PHOTOS}/{place.bucket}/{place.keys[0]}"
    real = copy.deepcopy(document())
    values = {
        "url": {"image_url": url, "expected_count": 3},
        "s3": {"s3_uri": uri},
        "batch": {"images": [{"s3_uri": uri, "expected_count": 2}, {"image_url": url}]},
    }
    examples = real["paths"]["/predictions"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == set(values)
    for name, value in values.items():
        examples[name]["value"] = value
    return real


def schemathesis(document: dict[str, Any], place: Place, folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold the deployed API against a document; what was asked and answered goes to `report.har` in `folder`."""
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "photo.jpg").write_bytes(place.photo)
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["--config-file", str(ROOT / "tests" / "e2e" / "schemathesis.toml"), "run", "openapi.json"]
    command += ["--url", place.url, "--max-examples", str(_EXAMPLES), "--warnings", "off"]
    command += ["--report", "har", "--report-har-path", "report.har"]
    given = {"TALLY_API_KEY": place.key, "TALLY_PHOTO": str(folder / "photo.jpg"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env={**os.environ, **given}, capture_output=True, text=True)


def test_nothing_that_the_document_lets_one_send_or_forbids_is_answered_otherwise_than_it_says(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    with own_key(rehearsal.account) as key:
        place = find_place(rehearsal.account, key)
        done = schemathesis(with_real_examples(place), place, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    asked: Counter[tuple[str, str, int]] = Counter()
    for entry in json.loads((tmp_path / "report.har").read_text())["log"]["entries"]:
        request, path = entry["request"], entry["request"]["url"].rpartition("_user_request_/")[2].partition("?")[0]
        sent = next((h["value"] for h in request["headers"] if h["name"].lower() == "content-type"), "")
        asked[path, sent, entry["response"]["status"]] += 1
    # What was answered shows that it reached what it was meant for.
    for reached in (
        ("predictions", "application/json", 200),
        ("predictions", "application/json", 400),
        ("predictions", "image/jpeg", 200),
        ("predictions", "image/webp", 415),
        ("health", "", 200),
        ("openapi.json", "", 200),
    ):
        assert asked[reached] > 0, (reached, asked)
    assert sum(asked.values()) > 2 * _EXAMPLES
    assert not {status for _, _, status in asked} & {429, 500, 502, 503, 504}, asked


def test_a_document_that_says_something_else_is_found_out(rehearsal: Rehearsal, tmp_path: Path) -> None:
    with own_key(rehearsal.account) as key:
        place = find_place(rehearsal.account, key)
        wrong = with_real_examples(place)
        wrong["components"]["schemas"]["Prediction"]["properties"]["count"]["type"] = "string"
        done = schemathesis(wrong, place, tmp_path)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "Response violates schema" in done.stdout


def test_whoever_asks_too_often_is_told_when_to_come_back(rehearsal: Rehearsal) -> None:
    place = predict.api(rehearsal.account)
    headers = {"x-api-key": str(place.key), "content-type": "application/json"}
    burst = rehearsal.account.settings.api.burst
    with urllib3.PoolManager(maxsize=8, retries=False) as pool, ThreadPoolExecutor(8) as callers:
        asked = [
            callers.submit(pool.request, "POST", f"{place.url}predictions", body=b"{}", headers=headers)
            for _ in range(3 * burst)
        ]
        answers = [answer.result() for answer in asked]
    assert {answer.status for answer in answers} == {400, 429}
    throttled = next(answer for answer in answers if answer.status == 429)
    assert int(throttled.headers["retry-after"]) >= 1
    assert throttled.json()["code"] == "throttled"


def test_sixteen_callers_of_every_kind_are_answered_as_they_must_for_two_minutes(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    wrong = api_load.run(
        rehearsal.emulator, seconds=_LOAD_SECONDS, concurrency=_CALLERS, seed=0, out=tmp_path, stream=sys.stdout
    )
    assert wrong == []
