"""The main job again and again, as a person runs it: photos in, the stacks, real training, an answer of the API."""

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from local.sample_data import generate
from local.settings import PREFIX, RAW_BUCKET
from tests.shared import shared_dir

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"EPOCHS": 6, "HPO_EPOCHS": 2, "HPO_JOBS": 4, "BASELINE_EPOCHS": 2}


class Runs:
    """`make run`, with everything it writes under one folder."""

    def __init__(self, build: Path) -> None:
        self.build = build

    def run(self, **variables: Any) -> dict[str, Any]:
        words = [f"{name}={value}" for name, value in variables.items()]
        done = subprocess.run(
            ["make", "run", f"BUILD={self.build}", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        summary: dict[str, Any] = json.loads((self.build / "summary.json").read_text())
        assert f"Status: {summary['status']}" in done.stdout
        for report in summary["reports"].values():
            assert str(self.build / report) in done.stdout
            page = (self.build / report).read_text()
            assert not re.search(r"""(src|href)=["'](?!#|data:)""", page), f"{report} must open without network"
        return summary

    def make(self, *words: str) -> str:
        """A target on the platform that `make up` keeps running in the same folder."""
        variables = {}
        if (self.build / "aws.env").exists():
            lines = (self.build / "aws.env").read_text().splitlines()
            variables = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        command = ["make", *words]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        return done.stdout

    def objects(self, pattern: str) -> dict[str, dict[str, Any]]:
        """Stored objects whose key matches, by the part that the pattern captures."""
        stored = json.loads((self.build / "state" / "objects.json").read_text())["objects"]
        return {match[1]: entry for key, entry in stored.items() if (match := re.fullmatch(pattern, key))}

    def shards(self, execution: str) -> dict[str, str]:
        found = self.objects(rf"executions/{execution}/Preprocess/(\w+/(?:shard|manifest|part)-.*)")
        return {name: entry["etag"] for name, entry in found.items()}

    def sides(self, execution: str) -> dict[str, str]:
        """The split of every prepared photo."""
        sides = {}
        for side, entry in self.objects(rf"executions/{execution}/Preprocess/(\w+)/manifest-.*").items():
            for line in (self.build / "state" / "objects" / entry["file"]).read_text().splitlines():
                sides[json.loads(line)["id"]] = side
        return sides

    def card(self, version: int) -> dict[str, Any]:
        """The model card of a registered version."""
        [group] = json.loads((self.build / "state" / "packages.json").read_text()).values()
        card: dict[str, Any] = json.loads(group["packages"][str(version)]["ModelCard"]["ModelCardContent"])
        return card

    def epochs(self, execution: str) -> list[dict[str, str]]:
        """What Train said of each epoch, but for times."""
        log = (self.build / "executions" / execution / "Train" / "algo-1.log").read_text()
        lines = [line for line in log.splitlines() if line.startswith("epoch=")]
        assert lines
        timed = ("seconds", "photos_per_second")
        pairs = [dict(word.split("=") for word in line.split()) for line in lines]
        return [{name: value for name, value in pair.items() if name not in timed} for pair in pairs]


class Caller:
    """An application that asks the API all the while with the command that `make up` prints."""

    def __init__(self, address: str, key: str, photo: str) -> None:
        self._body = json.dumps({"s3_uri": photo}).encode()
        self._headers = {"x-api-key": key, "content-type": "application/json"}
        self._address = address
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.models: list[str] = []
        self.problems: list[str] = []

    def __enter__(self) -> "Caller":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def ask(self) -> Any:
        request = urllib.request.Request(self._address, self._body, self._headers)  # noqa: S310  # our own server
        with urllib.request.urlopen(request, timeout=35) as answer:  # noqa: S310
            return json.loads(answer.read())

    def _ask(self) -> None:
        while not self._ended.wait(0.5):
            try:
                self.models.append(json.dumps(self.ask()["model"], sort_keys=True))
            except OSError as error:
                self.problems.append(str(error))


def execution(summary: dict[str, Any]) -> str:
    return str(summary["execution"]).rpartition("/")[2]


def copy_half(source: Path, target: Path) -> None:
    """Copy the photos with the smaller ids, and their metadata."""
    files = sorted((source / "bin-images").iterdir())
    for kind in ("bin-images", "metadata"):
        (target / kind).mkdir(parents=True)
    for file in files[: len(files) // 2]:
        shutil.copy(file, target / "bin-images")
        shutil.copy(source / "metadata" / f"{file.stem}.json", target / "metadata")


def test_a_first_model_is_promoted_the_same_again_is_refused_and_more_photos_promote_a_better_one(
    tmp_path: Path,
) -> None:
    everything, photos, runs = tmp_path / "everything", tmp_path / "photos", Runs(tmp_path / "build")
    generate(everything, photos=1500, seed=0)
    copy_half(everything, photos)
    printed = runs.make("up", f"BUILD={runs.build}")
    address, key = (re.search(pattern, printed) for pattern in (r"curl -s (\S+)", r"'x-api-key: (\S+)'"))
    assert address
    assert key

    first = runs.run(DATA=photos, **SMALL)
    assert (first["status"], first["champion_name"]) == ("succeeded", "baseline")
    assert first["gate"]["verdict"] == "promote"
    assert first["steps"]["Train"]["status"] == "Succeeded"
    assert "ranks=2" in (tmp_path / "build/executions" / execution(first) / "Train" / "algo-1.log").read_text()
    assert first["prediction"]["from"] == "deployed"
    assert 1 <= first["prediction"]["count"] <= 5
    assert first["peak_mb"] < 4000
    card = runs.card(1)
    figures = {item["name"]: item["value"] for item in card["evaluation_details"][0]["metric_groups"][0]["metric_data"]}
    assert figures["Accuracy"] == pytest.approx(first["metrics"]["challenger"]["accuracy"], rel=1e-5)
    assert ":training-job/Train-" in card["training_details"]["training_job_details"]["training_arn"]
    trials = (runs.build / first["reports"]["training"]).read_text()
    assert trials.count('<td class="text">completed</td>') + trials.count('<td class="text">stopped</td>') == 4
    sides, shards, epochs = (look(execution(first)) for look in (runs.sides, runs.shards, runs.epochs))

    again = runs.run(DATA=photos, **SMALL)
    assert again["status"] == "refused"
    assert again["gate"]["verdict"] == "reject"
    assert again["steps"]["Preprocess"]["cached"]
    assert (again["gate"]["b"], again["gate"]["c"]) == (0, 0), "the same photos and seed give the same model"
    assert runs.epochs(execution(again)) == epochs
    assert again["prediction"]["from"] == "champion"
    assert again["prediction"]["package"] == first["prediction"]["package"]

    shutil.copytree(everything, photos, dirs_exist_ok=True)
    photo = f"s3://{RAW_BUCKET}/{PREFIX}/{first['prediction']['photo']}"
    with Caller(address[1], key[1], photo) as caller:
        more = runs.run(DATA=photos, EPOCHS=16)
    assert more["champion_name"].endswith("/1"), "judged against the model in service"
    assert (more["status"], more["gate"]["verdict"]) == ("succeeded", "promote"), more["gate"]["reason"]
    assert not more["steps"]["Preprocess"]["cached"]
    grown = runs.sides(execution(more))
    assert len(grown) > 1.5 * len(sides)
    assert {name: grown[name] for name in sides} == sides, "every photo stays on its side"
    assert more["prediction"]["package"] != first["prediction"]["package"]

    assert caller.problems == [], "the endpoint answers throughout"
    assert len(set(caller.models)) == 2, "the old model, then the new one"

    assert "version 1 is in service" in runs.make("rollback", "ENV=laptop", "VERSION=1")
    assert json.dumps(caller.ask()["model"], sort_keys=True) == caller.models[0]
    status = runs.make("status", "ENV=laptop")
    assert "UPDATE_COMPLETE" in status
    runs.make("down", f"BUILD={runs.build}")

    fresh = Runs(tmp_path / "fresh")
    copy_half(everything, tmp_path / "half")
    elsewhere = fresh.run(DATA=tmp_path / "half", **SMALL)
    assert fresh.shards(execution(elsewhere)) == shards, "byte for byte"
    assert fresh.epochs(execution(elsewhere)) == epochs


def test_real_photos_of_the_public_bucket_go_all_the_way(tmp_path: Path) -> None:
    photos, weights = shared_dir("abid/aft-vbi-pds"), shared_dir("weights/mobilenet_v2_imagenet.pth")
    summary = Runs(tmp_path / "build").run(
        DATA=photos, BACKBONE="mobilenet_v2", WEIGHTS=weights, IMAGE_SIZE=96, **SMALL | {"EPOCHS": 2, "HPO_EPOCHS": 1}
    )
    assert summary["status"] in ("succeeded", "refused")
    assert summary["gate"]["verdict"] in ("promote", "reject", "underpowered")
    assert summary["gate"]["n"] > 10
    assert (summary["prediction"] is not None) == (summary["status"] == "succeeded")
