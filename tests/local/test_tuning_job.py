import json
import threading

import pytest

from local.errors import StepError
from local.jobs.ranges import distributions, for_container
from local.jobs.search import Search
from local.jobs.training import run_training_job
from local.jobs.tuning import run_tuning_job
from tests.local.requests import training, tuning

TRIAL = """
import json, os, pathlib, time
root = pathlib.Path(os.environ["TALLY_ML_ROOT"])
values = json.loads((root / "input/config/hyperparameters.json").read_text())
print("values", json.dumps(values), flush=True)
"""


def test_the_best_trial_is_reported_with_its_values_as_strings(workspace_for, job):
    program = TRIAL + "print('score=', float(values['x']), sep='')"
    request = tuning(jobs=4, parallel=2)
    answer = run_tuning_job(request, workspace_for(program), job.context).describe
    assert answer["HyperParameterTuningJobStatus"] == "Completed"
    assert answer["TrainingJobStatusCounters"]["Completed"] == 4
    best = answer["BestTrainingJob"]
    scores = [s["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for s in answer["TrainingJobSummaries"]]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == max(scores)
    assert float(best["TunedHyperParameters"]["x"]) == max(scores)
    assert best["TunedHyperParameters"]["kind"] in ("a", "b")
    assert all(isinstance(value, str) for value in best["TunedHyperParameters"].values())


def test_a_trial_gets_static_and_tuned_values_as_sagemaker_sends_them(workspace_for, job):
    run_tuning_job(tuning(jobs=1, parallel=1), workspace_for(TRIAL + "print('score=1')"), job.context)
    [line] = [line for line in job.lines if "values" in line]
    values = json.loads(line.split("values ", 1)[1])
    assert values["epochs"] == "3"
    assert values["_tuning_objective_metric"] == "score"
    assert json.loads(values["kind"]) in ("a", "b")  # JSON-quoted
    assert set(values) == {"epochs", "_tuning_objective_metric", "kind", "x", "n"}


def test_no_more_trials_run_at_the_same_time_than_allowed(workspace_for, job, tmp_path):
    program = f"""
import os, pathlib, time
busy = pathlib.Path({str(tmp_path / "busy")!r})
busy.mkdir(exist_ok=True)
mine = busy / str(os.getpid())
mine.touch()
print("score=" + str(len(list(busy.iterdir()))), flush=True)
time.sleep(0.3)
mine.unlink()
"""
    answer = run_tuning_job(tuning(jobs=5, parallel=2), workspace_for(program), job.context).describe
    most = max(s["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for s in answer["TrainingJobSummaries"])
    assert most <= 2
    assert len(answer["TrainingJobSummaries"]) == 5


def test_a_failing_trial_is_counted_and_the_search_goes_on(workspace_for, job):
    program = TRIAL + "\nassert 'trial-002' not in str(root), 'boom'\nprint('score=1')"
    answer = run_tuning_job(tuning(jobs=3, parallel=1), workspace_for(program), job.context).describe
    assert answer["HyperParameterTuningJobStatus"] == "Completed"
    assert answer["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    assert "boom" in answer["TrainingJobSummaries"][1]["FailureReason"]
    assert any(line.startswith("trial 2 failed: ") and "boom" in line for line in job.lines)


def test_a_search_without_a_success_fails_with_the_first_reason(workspace_for, job):
    answer = run_tuning_job(
        tuning(jobs=2, parallel=2), workspace_for("raise SystemExit('no GPU')"), job.context
    ).describe
    assert answer["HyperParameterTuningJobStatus"] == "Failed"
    assert answer["FailureReason"].startswith("none of 2 trials succeeded; trial 1: AlgorithmError: exit code 1")
    assert "no GPU" in answer["FailureReason"]


def test_a_search_whose_trials_never_print_the_objective_says_so(workspace_for, job):
    answer = run_tuning_job(tuning(jobs=2, parallel=2), workspace_for("print('accuracy=1')"), job.context).describe
    assert answer["FailureReason"] == "none of 2 trials printed the objective score"


def test_a_trial_below_the_median_of_earlier_ones_is_stopped_early(workspace_for, job):
    program = (
        TRIAL
        + """
good = any(f"trial-00{n}" in str(root) for n in (1, 2))
for epoch in range(3):
    print(f"score={1.0 if good else 0.1}", flush=True)
if not good:
    time.sleep(60)
"""
    )
    answer = run_tuning_job(tuning(jobs=3, parallel=1, early="Auto"), workspace_for(program), job.context).describe
    assert [s["TrainingJobStatus"] for s in answer["TrainingJobSummaries"]] == ["Completed", "Completed", "Stopped"]
    assert answer["TrainingJobStatusCounters"]["Stopped"] == 1
    assert any("stopped early" in line for line in job.lines)


def test_stopping_the_job_stops_its_trials_and_starts_no_more(workspace_for, job):
    program = TRIAL + "\nprint('score=1', flush=True)\ntime.sleep(60)"
    timer = threading.Timer(0.8, job.stop.set, ["enough"])
    timer.start()
    answer = run_tuning_job(tuning(jobs=6, parallel=2), workspace_for(program), job.context).describe
    assert answer["HyperParameterTuningJobStatus"] == "Stopped"
    assert len(answer["TrainingJobSummaries"]) <= 3


def search_values(seed, strategy="Bayesian", order=None):
    """Values of 12 trials with 2 in parallel; results are functions of the values, reported in any order."""
    search = Search(tuning(jobs=12, parallel=2, strategy=strategy)["HyperParameterTuningJobConfig"], seed)
    values = []
    for number in range(12):
        if number >= 2:
            search.tell(number - 2, values[number - 2]["x"])
        values.append(search.ask()[1])
    return values


@pytest.mark.parametrize("strategy", ["Bayesian", "Random", "Hyperband"])
def test_the_same_seed_tries_the_same_values(strategy):
    assert search_values(3, strategy) == search_values(3, strategy)
    assert search_values(3, strategy) != search_values(4, strategy)


def test_a_whole_number_range_gives_trials_whole_numbers():
    values = [for_container(value)["n"] for value in search_values(0, "Random")]
    assert set(values) <= {"1", "2", "3", "4", "5"}
    assert len(set(values)) > 2


def test_values_do_not_depend_on_which_trial_ends_first(workspace_for, job, tmp_path):
    program = TRIAL + "time.sleep(DELAY[int(str(root).split('trial-')[1][:3]) % 2]); print('score=' + values['x'])"
    seen = []
    for delays in ("DELAY = (0.0, 0.3)\n", "DELAY = (0.3, 0.0)\n"):
        answer = run_tuning_job(tuning(jobs=7, parallel=2), workspace_for(delays + program), job.context).describe
        seen.append([s["TunedHyperParameters"] for s in answer["TrainingJobSummaries"]])
    assert seen[0] == seen[1]


def ranges(**item):
    return {"ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", **item}]}


@pytest.mark.parametrize(
    ("item", "log"),
    [
        ({"ScalingType": "Linear"}, False),
        ({"ScalingType": "Logarithmic"}, True),
        ({"ScalingType": "Auto"}, False),
        ({"MaxValue": "10"}, True),
        ({"MinValue": "0", "MaxValue": "10"}, False),
    ],
    ids=["linear", "logarithmic", "auto, narrow", "auto, wide", "auto, from zero"],
)
def test_scaling_decides_how_a_range_is_searched(item, log):
    assert distributions(ranges(**item))["lr"].log is log


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ranges(MinValue="0", ScalingType="Logarithmic"), "Logarithmic scaling needs MinValue above 0"),
        (ranges(MinValue="1"), "range lr: MinValue 1 is above MaxValue 0.1"),
        (ranges(ScalingType="ReverseLogarithmic"), "not emulated"),
        ({}, "nothing to search"),
    ],
    ids=["log of zero", "upside down", "reverse", "empty"],
)
def test_a_range_that_cannot_be_searched_is_named(given, message):
    with pytest.raises(StepError, match=message):
        distributions(given)


def test_what_trials_leave_is_a_channel_for_the_job_that_follows_whatever_ended_them(workspace_for, job):
    """Tally's Train reads the records of its search so; a trial that early stopping ends leaves one, a failed none."""
    program = (
        TRIAL
        + """
import signal, sys
(root / "output/data/trial.json").write_text(json.dumps(values))
(root / "checkpoints/last.pt").write_bytes(b"large")
number = int(str(root).split("trial-")[1][:3])
assert number != 3, "boom"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
for epoch in range(3):
    print(f"score={0.1 if number == 4 else 1.0}", flush=True)
if number == 4:
    time.sleep(60)
"""
    )
    request = tuning(jobs=4, parallel=1, early="Auto")
    outputs = "s3://artifacts/executions/e1/Tune/jobs"
    checkpoints = {"S3Uri": "s3://artifacts/executions/e1/Tune/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    request["TrainingJobDefinition"] |= {"OutputDataConfig": {"S3OutputPath": outputs}, "CheckpointConfig": checkpoints}
    answer = run_tuning_job(request, workspace_for(program), job.context).describe
    ended = {s["TrainingJobName"]: s["TrainingJobStatus"] for s in answer["TrainingJobSummaries"]}
    assert list(ended.values()) == ["Completed", "Completed", "Failed", "Stopped"]

    reader = """
import os, pathlib
root = pathlib.Path(os.environ["TALLY_ML_ROOT"]) / "input/data/trials"
for path in sorted(root.rglob("*")):
    if path.is_file():
        print("found", path.relative_to(root), flush=True)
"""
    after = run_training_job(training(channels={"trials": outputs}), workspace_for(reader), job.context).describe
    assert after["TrainingJobStatus"] == "Completed"
    found = {line.removeprefix("found ") for line in job.lines if line.startswith("found ")}
    wanted = {name for name, status in ended.items() if status != "Failed"}
    assert {name.partition("/")[0] for name in found if name.endswith("/output/output.tar.gz")} == wanted
    assert not [name for name in found if "last.pt" in name]
