"""`make run` when things go otherwise: refused, failed, stopped, with weights; on stand-in images."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.emulator import children
from tests.local.fake_laptop import FakeLaptop

pytestmark = pytest.mark.e2e
REPOSITORY = Path(__file__).parents[2]
DRIVER = """
import signal, sys
from pathlib import Path
from local.__main__ import _interrupt
from local.run import run
from local.settings import RunSettings
signal.signal(signal.SIGTERM, _interrupt)
build, photos, image = map(Path, sys.argv[1:])
sys.exit(run(RunSettings(build=build, data=photos, hpo_jobs=2), sys.stdout, image))
"""


@pytest.fixture
def laptop(tmp_path: Path) -> FakeLaptop:
    return FakeLaptop(tmp_path)


def test_the_next_run_goes_on_from_where_the_last_one_ended(laptop: FakeLaptop) -> None:
    assert laptop.run(served_count=2)[1]["status"] == "succeeded"

    code, summary, text = laptop.run(verdict="reject")
    assert (code, summary["status"]) == (0, "refused")
    assert summary["failure_reason"].startswith(
        "step Refused: The gate says reject: the challenger was compared with tally-laptop/1"
    )
    assert summary["steps"]["Preprocess"]["cached"]
    assert summary["champion_name"] == "tally-laptop/1"
    assert summary["steps"]["Register"]["status"] == "NotReached"
    assert (summary["prediction"]["from"], summary["prediction"]["count"]) == ("champion", 2)
    assert "with the champion that stays in service" in text

    shutil.copy(next((laptop.photos / "bin-images").iterdir()), laptop.photos / "bin-images" / "99999.jpg")
    code, summary, _ = laptop.run()
    assert (code, summary["status"]) == (0, "succeeded")
    assert not summary["steps"]["Preprocess"]["cached"]
    assert summary["prediction"]["package"].endswith("model-package/tally-laptop/2")


def test_a_first_model_that_is_refused_leaves_no_model_in_service(laptop: FakeLaptop) -> None:
    code, summary, _ = laptop.run(verdict="underpowered")
    assert (code, summary["status"], summary["prediction"]) == (0, "refused", None)


def test_a_failing_job_fails_the_run_with_its_reason(laptop: FakeLaptop) -> None:
    code, summary, text = laptop.run(fail="evaluate")
    assert (code, summary["status"]) == (1, "failed")
    assert summary["failure_reason"].startswith("step Evaluate: AlgorithmError: exit code 1")
    assert "evaluate was told to fail" in text
    assert summary["prediction"] is None
    assert summary["gate"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("when", ["Tune: trial 2", "tally-laptop-data"], ids=["training", "deploying"])
def test_stopping_a_run_leaves_nothing_behind(laptop: FakeLaptop, number: signal.Signals, when: str) -> None:
    laptop.behave(train_seconds=30)
    build = laptop.settings.build
    command = [sys.executable, "-c", DRIVER, str(build), str(laptop.photos), str(laptop.image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout
        for line in process.stdout:
            if when in line:
                break
        time.sleep(0.5)
        process.send_signal(number)
        rest = process.communicate(timeout=60)[0]
    assert children.find(build) == []
    if when.startswith("Tune"):
        assert process.returncode == 130, rest
        summary: dict[str, Any] = json.loads((build / "summary.json").read_text())
        assert summary["status"] == "stopped"
        assert {summary["steps"][name]["status"] for name in ("TrainBaseline", "Tune")} == {"Stopped"}
    else:
        assert process.returncode != 0


def test_weights_reach_the_training_jobs_under_the_backbones_name(laptop: FakeLaptop, tmp_path: Path) -> None:
    weights = tmp_path / "downloaded.pth"
    weights.write_bytes(b"w")
    laptop.settings = replace(laptop.settings, weights=weights, backbone="mobilenet_v2")
    train = laptop.image / "tally" / "__main__.py"
    check = 'def train() -> None:\n    assert (ROOT / "input/data/weights/mobilenet_v2.pth").is_file()\n'
    train.write_text(train.read_text().replace("def train() -> None:\n", check))
    assert laptop.run()[1]["status"] == "succeeded"
