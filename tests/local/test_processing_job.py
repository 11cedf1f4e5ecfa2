import json

import pytest

from local.errors import StepError
from local.jobs.processing import run_processing_job
from tests.local.requests import processing

COPY = """
import json, os, pathlib, sys
root = pathlib.Path(os.environ["TALLY_ML_ROOT"])
config = json.loads((root / "config/resourceconfig.json").read_text())
inputs = root / "processing/input"
names = sorted(p.relative_to(inputs).as_posix() for p in inputs.rglob("*") if p.is_file())
out = root / "processing/output/result"
(out / f"{config['current_host']}.json").write_text(json.dumps(
    {"args": sys.argv[1:], "colour": os.environ["COLOUR"], "names": names, "hosts": config["hosts"],
     "aws": [n for n in os.environ if n.startswith("AWS_")], "threads": os.environ["OMP_NUM_THREADS"]}))
print("progress photos=1/1")
"""


def test_inputs_arguments_and_environment_arrive_and_outputs_are_uploaded(workspace_for, job, put, get, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a real one")
    put("s3://raw/photos/a/1.jpg")
    put("s3://raw/photos/2.jpg")
    put("s3://raw/photos-old/3.jpg")
    request = processing(COPY, inputs={"photos": "s3://raw/photos/"}, outputs=("result",))
    result = run_processing_job(request, workspace_for(), job.context)
    assert result.describe["ProcessingJobStatus"] == "Completed"
    assert result.describe["ProcessingJobArn"].endswith(":processing-job/p-1")
    assert json.loads(get("s3://artifacts/result/algo-1.json")) == {
        "args": ["--size", "64"],
        "colour": "yellow",
        "names": ["photos/2.jpg", "photos/a/1.jpg"],
        "hosts": ["algo-1"],
        "aws": [],
        "threads": "1",
    }
    assert job.lines == ["progress photos=1/1"]
    assert not (job.folder / "trees" / "algo-1").exists()


def test_instances_share_inputs_as_the_distribution_says(workspace_for, job, put, get):
    for number in range(5):
        put(f"s3://raw/photos/{number}.jpg")
    request = processing(
        COPY, inputs={"photos": "s3://raw/photos"}, outputs=("result",), instances=2, distribution="ShardedByS3Key"
    )
    run_processing_job(request, workspace_for(), job.context)
    first, second = (json.loads(get(f"s3://artifacts/result/algo-{n}.json")) for n in (1, 2))
    assert first["names"] == ["photos/0.jpg", "photos/2.jpg", "photos/4.jpg"]
    assert second["names"] == ["photos/1.jpg", "photos/3.jpg"]
    assert first["hosts"] == second["hosts"] == ["algo-1", "algo-2"]


def test_more_instances_than_the_laptop_starts_are_said_aloud(workspace_for, job, get):
    request = processing(COPY, outputs=("result",), instances=8)
    run_processing_job(request, workspace_for(max_instances=1), job.context)
    assert job.notes == ["asks for 8 instances; the laptop starts 1 (setting max-instances)"]


def test_the_exit_message_is_the_failure_reason(workspace_for, job):
    program = """
import os, pathlib
(pathlib.Path(os.environ["TALLY_ML_ROOT"]) / "output/message").write_text("photo 7 is upside down; turn it")
raise SystemExit(1)
"""
    result = run_processing_job(processing(program), workspace_for(), job.context)
    assert result.describe["ProcessingJobStatus"] == "Failed"
    assert result.describe["FailureReason"] == "AlgorithmError: photo 7 is upside down; turn it (exit code 1)"


def test_without_a_message_the_end_of_the_log_and_the_signal_are(workspace_for, job):
    program = "import os; print('about to go', flush=True); os.kill(os.getpid(), 9)"
    result = run_processing_job(processing(program), workspace_for(), job.context)
    assert result.describe["FailureReason"] == "AlgorithmError: ended by SIGKILL; last lines:\nabout to go"
    assert (job.folder / "algo-1.log").read_text() == "about to go\n"


def test_a_job_past_its_time_says_so(workspace_for, job):
    result = run_processing_job(processing("import time; time.sleep(60)", seconds=1), workspace_for(), job.context)
    assert result.describe["ProcessingJobStatus"] == "Stopped"
    assert result.describe["FailureReason"] == "the job ran past MaxRuntimeInSeconds=1"


def test_an_input_prefix_without_objects_is_refused(workspace_for, job):
    with pytest.raises(StepError, match="s3://raw/nothing holds no object"):
        run_processing_job(processing("", inputs={"photos": "s3://raw/nothing"}), workspace_for(), job.context)


def test_a_path_outside_of_opt_ml_is_refused(workspace_for, job):
    request = processing("", outputs=("result",))
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"] = "/opt/ml/../../etc"
    with pytest.raises(StepError, match="must lie under /opt/ml"):
        run_processing_job(request, workspace_for(), job.context)


def test_an_entry_point_that_does_not_exist_is_named(workspace_for, job):
    request = processing("")
    request["AppSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    with pytest.raises(StepError, match="cannot start 'no-such-program'"):
        run_processing_job(request, workspace_for(), job.context)
