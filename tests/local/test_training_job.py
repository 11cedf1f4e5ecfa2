import io
import json
import tarfile

import pytest

from local.errors import StepError
from local.jobs.archive import pack, unpack
from local.jobs.training import run_training_job
from tests.local.requests import training

PEERS = """
import json, os, pathlib, socket, sys
root = pathlib.Path(os.environ["TALLY_ML_ROOT"])
config = {name: json.loads((root / f"input/config/{name}.json").read_text())
          for name in ("hyperparameters", "resourceconfig", "inputdataconfig")}
me = config["resourceconfig"]
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if me["current_host"] == "algo-1" and len(me["hosts"]) > 1:
    with socket.create_server(address) as server:
        server.settimeout(20)
        server.accept()[0].close()
elif len(me["hosts"]) > 1:
    import time
    for _ in range(200):
        try:
            socket.create_connection(address).close()
            break
        except OSError:
            time.sleep(0.05)
config["files"] = sorted(p.name for p in (root / "input/data").rglob("*") if p.is_file())
config["argv"] = sys.argv[1:]
(root / "model" / f"{me['current_host']}.json").write_text(json.dumps(config))
(root / "output/data/metrics.jsonl").write_text("{}")
print("epoch=1 loss=0.5")
print("epoch=2 loss=2.5e-01 best_loss=9")
print("epoch=3 loss=oops")
"""


def model_files(get, uri):
    with tarfile.open(fileobj=io.BytesIO(get(uri)), mode="r:gz") as archive:
        return {item.name: archive.extractfile(item).read() for item in archive.getmembers()}


def test_instances_find_their_settings_and_each_other(workspace_for, job, put, get):
    put("s3://artifacts/shards/train/part.tar")
    request = training(instances=2, channels={"train": "s3://artifacts/shards/train"})
    result = run_training_job(request, workspace_for(PEERS), job.context)
    describe = result.describe
    assert (describe["TrainingJobStatus"], describe["SecondaryStatus"]) == ("Completed", "Completed")
    uri = describe["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == "s3://artifacts/models/t-1/output/model.tar.gz"
    files = model_files(get, uri)
    assert list(files) == ["algo-1.json"]  # the model comes from the first instance alone
    seen = json.loads(files["algo-1.json"])
    assert seen["hyperparameters"] == {"epochs": "3"}
    assert seen["resourceconfig"]["hosts"] == ["algo-1", "algo-2"]
    assert seen["resourceconfig"]["network_interface_name"].startswith("lo")
    assert seen["inputdataconfig"]["train"]["TrainingInputMode"] == "File"
    assert seen["files"] == ["part.tar"]
    assert seen["argv"] == ["train"]
    assert "metrics.jsonl" in model_files(get, "s3://artifacts/models/t-1/output/output.tar.gz")


def test_metrics_are_read_from_the_log_and_the_last_value_is_final(workspace_for, job):
    seen = []
    result = run_training_job(
        training(), workspace_for(PEERS), job.context, on_metric=lambda name, value: seen.append((name, value))
    )
    assert seen == [("loss", 0.5), ("loss", 0.25)]
    [final] = result.describe["FinalMetricDataList"]
    assert (final["MetricName"], final["Value"]) == ("loss", 0.25)


def test_the_same_prefix_is_fetched_once_for_all_instances(workspace_for, job, put, tmp_path):
    put("s3://artifacts/shards/train/part.tar", b"12345")
    program = "import os, pathlib, sys; sys.exit(1)"
    request = training(instances=2, channels={"train": "s3://artifacts/shards/train"})
    run_training_job(request, workspace_for(program), job.context)
    files = [job.folder / f"trees/algo-{n}/input/data/train/part.tar" for n in (1, 2)]
    assert files[0].samefile(files[1])
    assert files[0].stat().st_mode & 0o222 == 0  # no job can change what others see


def test_the_text_of_output_failure_is_the_failure_reason_and_the_peer_is_ended(workspace_for, job):
    program = """
import json, os, pathlib, time
root = pathlib.Path(os.environ["TALLY_ML_ROOT"])
if json.loads((root / "input/config/resourceconfig.json").read_text())["current_host"] == "algo-2":
    (root / "output/failure").write_text("backbone 'resnet19' is unknown")
    raise SystemExit(1)
time.sleep(60)
"""
    result = run_training_job(training(instances=2), workspace_for(program), job.context)
    assert result.describe["TrainingJobStatus"] == "Failed"
    assert result.describe["FailureReason"] == "algo-2: AlgorithmError: backbone 'resnet19' is unknown (exit code 1)"
    assert "ModelArtifacts" not in result.describe


def test_a_job_past_its_time_is_stopped(workspace_for, job):
    result = run_training_job(training(seconds=1), workspace_for("import time; time.sleep(60)"), job.context)
    assert (result.describe["TrainingJobStatus"], result.describe["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )


RESUME = """
import os, pathlib, signal, sys, time
checkpoint = pathlib.Path(os.environ["TALLY_ML_ROOT"]) / "checkpoints" / "epoch.txt"
print("found", checkpoint.read_text() if checkpoint.exists() else "nothing", flush=True)
def save(*_):
    checkpoint.write_text("7")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
if not checkpoint.exists():
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_stopped_job_leaves_checkpoints_that_the_next_one_finds(workspace_for, job, get):
    request = training(CheckpointConfig={"S3Uri": "s3://artifacts/checkpoints", "LocalPath": "/opt/ml/checkpoints"})
    workspace = workspace_for(RESUME)
    original = job.lines.append

    def stop_when_ready(line):
        original(line)
        if line == "ready":
            job.stop.set("enough")

    object.__setattr__(job.context, "on_line", stop_when_ready)
    assert run_training_job(request, workspace, job.context).describe["TrainingJobStatus"] == "Stopped"
    assert get("s3://artifacts/checkpoints/epoch.txt") == b"7"
    second = type(job)(job.folder.with_name("again"))
    assert run_training_job(request, workspace, second.context).describe["TrainingJobStatus"] == "Completed"
    assert second.lines == ["found 7"]


def test_equal_models_are_packed_to_equal_bytes(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "report").mkdir(parents=True)
        for file in ("model.onnx", "report/page.html") if name == "one" else ("report/page.html", "model.onnx"):
            (folder / file).write_bytes(b"content of " + file.encode())
        pack(folder, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_an_archive_that_leaves_its_folder_is_refused(tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../escape"))
    with pytest.raises(StepError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")
