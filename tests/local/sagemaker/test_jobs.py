import time

import pytest
from botocore.exceptions import ClientError

from tests.local import requests
from tests.local.sagemaker.account import until


def sent(request):
    """A request of the other tests as boto3 lets it pass: without empty lists."""
    return {key: value for key, value in request.items() if value != []}


def training(**more):
    return sent(requests.training(**more))


def processing(program, **more):
    return sent(requests.processing(program, **more))


def tuning(**more):
    request = requests.tuning(**more)
    return {**request, "TrainingJobDefinition": sent(request["TrainingJobDefinition"])}


SLEEP = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(60)"


def test_a_training_job_is_seen_while_it_runs_and_when_it_has_ended(account, image):
    image.program("import time\nprint('loss=0.25', flush=True)\ntime.sleep(1)")
    account.sagemaker.create_training_job(**training())
    running = account.sagemaker.describe_training_job(TrainingJobName="t-1")
    assert (running["TrainingJobStatus"], running["SecondaryStatus"]) == ("InProgress", "Training")
    assert running["TrainingJobArn"] == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/t-1"
    account.sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="t-1", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
    )
    ended = account.sagemaker.describe_training_job(TrainingJobName="t-1")
    assert ended["TrainingJobStatus"] == "Completed"
    assert ended["ModelArtifacts"]["S3ModelArtifacts"] == "s3://artifacts/models/t-1/output/model.tar.gz"
    assert ended["FinalMetricDataList"][0]["Value"] == 0.25
    assert ended["CreationTime"].timestamp() == pytest.approx(time.time(), abs=30)
    assert account.s3.head_object(Bucket="artifacts", Key="models/t-1/output/model.tar.gz")["ContentLength"] > 0
    statuses = [detail["TrainingJobStatus"] for detail in account.told("Training Job State")]
    assert statuses == ["InProgress", "Completed"]


def test_a_name_is_taken_once_and_an_unknown_one_is_named(account):
    account.sagemaker.create_training_job(**training())
    with pytest.raises(ClientError, match=r"ResourceInUse.*training-job/t-1"):
        account.sagemaker.create_training_job(**training())
    with pytest.raises(ClientError, match=r"ValidationException.*there is no processing job p-9"):
        account.sagemaker.describe_processing_job(ProcessingJobName="p-9")


def test_a_stopped_job_ends_its_process(account, image):
    image.program(SLEEP)
    account.sagemaker.create_training_job(**training())
    account.sagemaker.stop_training_job(TrainingJobName="t-1")
    describe = account.sagemaker.describe_training_job
    until(lambda: describe(TrainingJobName="t-1")["TrainingJobStatus"] == "Stopped")
    with pytest.raises(ClientError, match="in status Stopped"):
        account.sagemaker.stop_training_job(TrainingJobName="t-1")


def test_a_job_whose_input_is_missing_fails_with_the_reason(account):
    account.sagemaker.create_processing_job(**processing("", inputs={"photos": "s3://raw/none"}))
    describe = account.sagemaker.describe_processing_job
    ended = until(lambda: d if (d := describe(ProcessingJobName="p-1"))["ProcessingJobStatus"] == "Failed" else None)
    assert "s3://raw/none holds no object" in ended["FailureReason"]


def test_a_long_failure_is_cut_as_the_api_cuts_it(account):
    account.sagemaker.create_processing_job(**processing("raise SystemExit('x' * 5000)"))
    describe = account.sagemaker.describe_processing_job
    ended = until(lambda: d if (d := describe(ProcessingJobName="p-1"))["ProcessingJobStatus"] == "Failed" else None)
    assert len(ended["FailureReason"]) == 1024


def test_lists_filter_order_and_page(account, image):
    for name in ("a-one", "b-two", "a-three"):
        account.sagemaker.create_training_job(**{**training(), "TrainingJobName": name})
    list_jobs = account.sagemaker.list_training_jobs
    until(lambda: len(list_jobs(StatusEquals="Completed")["TrainingJobSummaries"]) == 3)
    image.program(SLEEP)
    account.sagemaker.create_training_job(**{**training(), "TrainingJobName": "a-slow"})

    def names(**request):
        return [job["TrainingJobName"] for job in list_jobs(**request)["TrainingJobSummaries"]]

    assert names(StatusEquals="InProgress") == ["a-slow"]
    assert names(NameContains="a-", SortBy="CreationTime", SortOrder="Ascending") == ["a-one", "a-three", "a-slow"]
    assert names(SortBy="Name", SortOrder="Descending") == ["b-two", "a-three", "a-slow", "a-one"]
    first = list_jobs(MaxResults=3)
    assert len(first["TrainingJobSummaries"]) == 3
    assert names(MaxResults=3, NextToken=first["NextToken"]) == ["a-slow"]
    with pytest.raises(ClientError, match="NextToken 'odd'"):
        names(NextToken="odd")


def test_trials_are_training_jobs_and_the_search_counts_them_while_it_runs(account, image):
    image.program(
        """
import json, os, pathlib, time
values = json.loads((pathlib.Path(os.environ["TALLY_ML_ROOT"]) / "input/config/hyperparameters.json").read_text())
print(f"score={values['x']}", flush=True)
time.sleep(1)
"""
    )
    account.sagemaker.create_hyper_parameter_tuning_job(**tuning(jobs=3, parallel=1))
    describe = account.sagemaker.describe_hyper_parameter_tuning_job
    name = {"HyperParameterTuningJobName": "h-1"}
    running = until(lambda: d if (d := describe(**name))["TrainingJobStatusCounters"]["Completed"] == 1 else None)
    assert running["HyperParameterTuningJobStatus"] == "InProgress"
    assert running["TrainingJobStatusCounters"]["InProgress"] <= 1
    ended = until(lambda: d if (d := describe(**name))["HyperParameterTuningJobStatus"] == "Completed" else None)
    assert ended["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    objective = "FinalHyperParameterTuningJobObjectiveMetric"
    listed = account.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        **name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending"
    )["TrainingJobSummaries"]
    scores = [trial[objective]["Value"] for trial in listed]
    assert scores == sorted(scores, reverse=True)
    assert ended["BestTrainingJob"]["TrainingJobName"] == listed[0]["TrainingJobName"]
    assert ended["BestTrainingJob"]["TunedHyperParameters"] == listed[0]["TunedHyperParameters"]
    trial = account.sagemaker.describe_training_job(TrainingJobName=listed[0]["TrainingJobName"])
    assert trial["TuningJobArn"] == ended["HyperParameterTuningJobArn"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"HyperParameters": {"epochs": "x" * 2501}}, "HyperParameters.epochs"),
        ({"TrainingJobName": "no_underscores"}, "regular expression pattern"),
        ({"RoleArn": "the role that is named jobs"}, "RoleArn"),
    ],
    ids=["too long", "a name that AWS forbids", "a role that is none"],
)
def test_what_aws_would_reject_is_rejected(account, change, message):
    with pytest.raises(ClientError, match=rf"ValidationException.*{message}"):
        account.sagemaker.create_training_job(**{**training(), **change})
