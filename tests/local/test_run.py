"""Whole runs: the real definition, registry, Lambda, queue and processes; only the images' programs are stand-ins."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local.run import run
from local.settings import RunSettings
from pipeline.definition import SUMMARY

IMAGE = Path(__file__).with_name("fake_image")


@pytest.fixture
def laptop(tmp_path):
    return FakeLaptop(tmp_path)


class FakeLaptop:
    """A directory with photos, a stand-in image and a build directory."""

    def __init__(self, folder: Path):
        self.image = folder / "image"
        shutil.copytree(IMAGE, self.image, ignore=shutil.ignore_patterns("__pycache__"))
        self.photos = folder / "photos"
        (self.photos / "bin-images").mkdir(parents=True)
        for number in range(6):
            (self.photos / "bin-images" / f"{number:05d}.jpg").write_bytes(b"photo %d" % number)
        self.settings = RunSettings(
            build=folder / "build", data=self.photos, epochs=2, hpo_jobs=2, hpo_epochs=1, baseline_epochs=1
        )
        self.behave()

    def behave(self, **behaviour) -> None:
        (self.image / "behaviour.json").write_text(json.dumps({"summary": SUMMARY, **behaviour}))

    def run(self, **behaviour) -> tuple[int, dict, str]:
        self.behave(**behaviour)
        stream = io.StringIO()
        code = run(self.settings, stream, self.image)
        return code, json.loads((self.settings.build / "summary.json").read_text()), stream.getvalue()


def test_a_first_model_is_promoted_registered_deployed_and_answers(laptop):
    code, summary, text = laptop.run()
    assert (code, summary["status"], summary["failure_reason"]) == (0, "succeeded", None)
    statuses = {name: step["status"] for name, step in summary["steps"].items()}
    assert statuses.pop("Refused") == "NotReached"
    assert set(statuses.values()) == {"Succeeded"}
    assert summary["gate"]["verdict"] == "promote"
    assert summary["champion_name"] == "baseline"
    assert summary["metrics"]["challenger"]["accuracy"] == 0.6
    prediction = summary["prediction"]
    assert (prediction["from"], prediction["count"], prediction["label"]) == ("deployed", 3, 3)
    assert prediction["photo"] == "bin-images/00000.jpg"  # the stand-in's test split
    assert prediction["package"].endswith("model-package/tally/1")
    for name, page in (("data", "data"), ("training", "training"), ("evaluation", "evaluation")):
        assert (laptop.settings.build / summary["reports"][name]).read_text() == f"{page} report"
    assert "Report on evaluation:" in text
    assert "It does not prove IAM permissions, quotas or SageMaker's own behaviour." in text
    assert "\x1b" not in text  # plain lines when nobody sits at a terminal
    assert "TrainBaseline: epoch 0, validation accuracy 0.51, photos/s 99" in text

    # the same photos again: Preprocess comes from the cache, the champion is the first model and stays in service
    code, summary, text = laptop.run(verdict="reject")
    assert (code, summary["status"]) == (0, "refused")
    assert summary["failure_reason"] == ("step Refused: The gate says reject: the challenger was compared with tally/1")
    # another behaviour is no other image, so this is a hit
    assert summary["steps"]["Preprocess"]["cached"]
    assert summary["champion_name"] == "tally/1"
    assert summary["steps"]["Register"]["status"] == "NotReached"
    assert summary["prediction"]["from"] == "champion"
    assert "answered over HTTP by the champion that stays in service" in text

    # one more photo: Preprocess runs again
    (laptop.photos / "bin-images" / "00009.jpg").write_bytes(b"a new photo")
    code, summary, _ = laptop.run()
    assert (code, summary["status"]) == (0, "succeeded")
    assert not summary["steps"]["Preprocess"]["cached"]
    assert summary["prediction"]["package"].endswith("model-package/tally/2")


def test_a_refused_first_model_answers_as_a_preview_only(laptop):
    code, summary, text = laptop.run(verdict="underpowered")
    assert (code, summary["status"]) == (0, "refused")
    assert summary["prediction"]["from"] == "preview"
    assert summary["prediction"]["package"] is None
    assert "a PREVIEW of the challenger, which is NOT in service" in text


def test_a_failing_job_fails_the_run_with_its_reason(laptop):
    code, summary, text = laptop.run(fail="evaluate")
    assert (code, summary["status"]) == (1, "failed")
    assert summary["failure_reason"].startswith("step Evaluate: AlgorithmError: exit code 1")
    assert "evaluate was told to fail" in text
    assert summary["prediction"] is None
    assert summary["gate"] is None


def test_a_server_that_does_not_start_leaves_the_package_unapproved(laptop):
    code, summary, _ = laptop.run(fail="serve")
    assert (code, summary["status"]) == (1, "failed")
    assert (
        "step Deploy: tally/1 was not deployed: the model server did not become ready (exit code 1)"
        in (summary["failure_reason"])
    )
    [package] = json.loads((laptop.settings.build / "state" / "packages.json").read_text())
    assert package["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_server_that_answers_nonsense_fails_its_smoke_test(laptop):
    _, summary, _ = laptop.run(served_count=17)
    assert "the smoke test with bin-images/00000.jpg was answered 200" in summary["failure_reason"]


DRIVER = """
import sys
from pathlib import Path
from local.run import run
from local.settings import RunSettings
build, photos, image = map(Path, sys.argv[1:])
sys.exit(run(RunSettings(build=build, data=photos, hpo_jobs=2), sys.stdout, image))
"""


def test_a_run_goes_on_when_the_reader_of_its_output_is_gone(laptop):
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    laptop.behave()
    assert run(laptop.settings, Gone(), laptop.image) == 0
    assert json.loads((laptop.settings.build / "summary.json").read_text())["status"] == "succeeded"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_stopping_a_run_ends_its_jobs_and_writes_a_summary(laptop, number):
    laptop.behave(train_seconds=30)
    build = laptop.settings.build
    command = [sys.executable, "-c", DRIVER, str(build), str(laptop.photos), str(laptop.image)]
    repository = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        for line in process.stdout:
            if "Tune: trial 2" in line:
                break
        time.sleep(0.5)
        process.send_signal(number)
        rest = process.communicate(timeout=30)[0]
    assert process.returncode == 130, rest
    summary = json.loads((build / "summary.json").read_text())
    assert summary["status"] == "stopped"
    assert summary["failure_reason"] == f"stopped by {number.name}"
    assert {summary["steps"][name]["status"] for name in ("TrainBaseline", "Tune")} == {"Stopped"}
    left = [p for p in psutil.process_iter() if str(build) in _tree(p)]
    assert left == []


def _tree(process: psutil.Process) -> str:
    try:
        return process.environ().get("TALLY_ML_ROOT", "")
    except (psutil.Error, OSError):
        return ""


def test_a_second_run_in_the_same_directory_is_refused(laptop):
    import fcntl

    from local.errors import LocalError

    laptop.settings.build.mkdir()
    with (laptop.settings.build / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LocalError, match="another run is at work"):
            laptop.run()


def test_weights_reach_the_training_jobs_under_the_backbones_name(laptop, tmp_path):
    from dataclasses import replace

    weights = tmp_path / "downloaded.pth"
    weights.write_bytes(b"w")
    laptop.settings = replace(laptop.settings, weights=weights, backbone="mobilenet_v2")
    train = laptop.image / "tally" / "__main__.py"
    check = 'def train() -> None:\n    assert (ROOT / "input/data/weights/mobilenet_v2.pth").is_file()\n'
    train.write_text(train.read_text().replace("def train() -> None:\n", check))
    assert laptop.run()[1]["status"] == "succeeded"
    assert os.environ.get("TALLY_ML_ROOT") is None
