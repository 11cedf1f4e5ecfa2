"""The container contract where no training is needed."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tally.__main__ import main
from tally.container import Cluster, write_failure
from tally.errors import TallyError
from tests.model_code.jobs import Job, configure, make_channels


def test_the_command_line_explains_itself() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tally", "--help"],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "model_code")},
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("train", "serve", "preprocess", "evaluate"):
        assert f"  {command}" in result.stdout


def test_starting_a_container_command_needs_no_torch() -> None:
    code = "import sys, tally.__main__; sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    path = Path(__file__).resolve().parents[2] / "model_code"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(path)}, check=False).returncode == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ('{"hosts": ["a"]}', "cannot be read"),
        ('{"hosts": ["a"], "current_host": "b"}', "current_host 'b' is not in"),
    ],
)
def test_a_resource_config_that_makes_no_sense_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "resourceconfig.json").write_text(content)
    with pytest.raises(TallyError, match=message):
        Cluster.read(tmp_path / "resourceconfig.json")


def test_hosts_are_ranked_by_name_wherever_the_list_is_read(tmp_path: Path) -> None:
    file = tmp_path / "resourceconfig.json"
    file.write_text(json.dumps({"hosts": ["algo-2", "algo-1"], "current_host": "algo-2"}))
    assert Cluster.read(file).index == 1
    assert Cluster.read(tmp_path / "absent.json") == Cluster(("localhost",), "localhost", None)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"backbone": "resnet19"}, "backbone 'resnet19' is not a classifier of torchvision"),
        ({"batch_size": 1000}, "the train split has 64 photos, fewer than batch_size=1000"),
        ({"weights": "pretrained"}, "no pretrained weights for backbone 'squeezenet1_1'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_person_can_mend_is_the_failure_reason_without_a_traceback(
    tmp_path: Path, hyperparameters: dict[str, object], message: str
) -> None:
    make_channels(tmp_path)
    configure(tmp_path, **hyperparameters)
    with Job([tmp_path]) as job:
        codes, _ = job.finish()
    assert codes == [1]
    assert (tmp_path / "output" / "failure").read_text().startswith(message)


def test_wrong_settings_are_told_before_a_rank_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, lr="quick")
    monkeypatch.setenv("TALLY_ML_ROOT", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "there is no such program"))
    assert main(["train"]) == 1
    assert (tmp_path / "output" / "failure").read_text().startswith("hyperparameter 'lr' is 'quick'")


@pytest.mark.e2e
def test_a_checkpoint_of_another_network_is_refused_by_what_differs(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=1)
    with Job([tmp_path]) as job:
        assert job.finish()[0] == [0]
    configure(tmp_path, epochs=1, backbone="mobilenet_v2")
    with Job([tmp_path]) as job:
        assert job.finish()[0] == [1]
    reason = (tmp_path / "output" / "failure").read_text()
    assert (
        "belongs to another run: backbone was 'squeezenet1_1' and is 'mobilenet_v2'; use another checkpoint" in reason
    )
    (tmp_path / "checkpoints" / "last.pt").write_bytes(b"half a file")
    with Job([tmp_path]) as job:
        assert job.finish()[0] == [1]
    assert "last.pt' cannot be read" in (tmp_path / "output" / "failure").read_text()


@pytest.mark.e2e
def test_trials_of_a_tuning_job_share_a_checkpoint_location_without_meeting(tmp_path: Path) -> None:
    make_channels(tmp_path)
    for name, rate in (("trial-1", 0.01), ("trial-2", 0.02)):
        configure(tmp_path, epochs=1, lr=rate, _tuning_objective_metric="best_validation_accuracy")
        with Job([tmp_path], {"TRAINING_JOB_NAME": name}) as job:
            assert job.finish()[0] == [0]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["trial-1", "trial-2"]


@pytest.mark.e2e
def test_an_unwritable_model_directory_is_named(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=1)
    (tmp_path / "model").write_text("a file where the directory should be")
    with Job([tmp_path]) as job:
        assert job.finish()[0] == [1]
    assert (tmp_path / "output" / "failure").read_text().startswith(f"model directory '{tmp_path / 'model'}' cannot be")


@pytest.mark.e2e
def test_a_full_disk_fails_the_job_by_the_name_of_the_file(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=1)
    with Job([tmp_path]) as job:
        # No file of this job, nor of the processes it starts, may grow beyond a megabyte: as if the disk were full.
        resource.prlimit(job.processes[0].pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        assert job.finish()[0] == [1]
    reason = (tmp_path / "output" / "failure").read_text()
    assert reason.startswith(f"checkpoint '{tmp_path / 'checkpoints' / 'last.pt'}' cannot be written")
    assert "free space" in reason
    assert not (tmp_path / "checkpoints" / "last.pt").exists(), "half a checkpoint is none"


@pytest.mark.e2e
def test_a_stop_that_cannot_leave_a_checkpoint_is_a_failure(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=500)
    with Job([tmp_path]) as job:
        job.wait_for_epoch()
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
        (tmp_path / "checkpoints").write_text("a file where the directory was")
        job.processes[0].send_signal(signal.SIGTERM)
        assert job.finish(60)[0] == [1]
    assert "last.pt' cannot be written" in (tmp_path / "output" / "failure").read_text()


def test_a_job_without_its_files_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_ML_ROOT", str(tmp_path))
    assert main(["train", "--fast"]) == 1
    assert "train takes no arguments" in (tmp_path / "output" / "failure").read_text()
    with Job([tmp_path]) as job:
        assert job.finish()[0] == [1]
    assert "hyperparameters.json' cannot be read" in (tmp_path / "output" / "failure").read_text()


def test_a_long_reason_keeps_its_end_within_what_sagemaker_shows(tmp_path: Path) -> None:
    write_failure(tmp_path / "failure", "x" * 5000 + "the cause")
    text = (tmp_path / "failure").read_text()
    assert len(text) == 1024
    assert text.endswith("the cause")
