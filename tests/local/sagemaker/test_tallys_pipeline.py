"""Tally's own pipeline definition on the emulated SageMaker; only the images' programs are stand-ins."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from local.jobs.containers import Containers
from pipeline.definition import SUMMARY, build
from pipeline.settings import example_settings
from tests.local.sagemaker.account import ROLE, Account

CHAMPION = "arn:aws:lambda:eu-west-1:123456789012:function:tally-dev-champion"
IMAGE = Path(__file__).parents[1] / "fake_image"
SMALL = {"Epochs": "2", "BaselineEpochs": "1", "HpoEpochs": "1", "HpoJobs": "2", "HpoParallelism": "1"}


class Image:
    """The stand-in for both of Tally's images."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(IMAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def behave(self, **behaviour: object) -> None:
        (self.folder / "behaviour.json").write_text(json.dumps({"summary": SUMMARY, **behaviour}))


@pytest.fixture
def stand_in(tmp_path):
    return Image(tmp_path / "image")


@pytest.fixture
def tally(tmp_path, stand_in):
    """An account with photos, Tally's pipeline, a champion function that knows no model, and an answerer of tokens."""
    stand_in.behave()
    account = Account(tmp_path, Containers(python_path=stand_in.folder))
    queue = account.sqs.create_queue(QueueName="tally-dev-release")["QueueUrl"]
    settings = example_settings(
        region="eu-west-1",
        raw_bucket="raw",
        artifacts_bucket="artifacts",
        champion_function_arn=CHAMPION,
        deploy_queue_url=queue,
        spot=False,
        pretrained=False,
    )
    for number in range(6):
        account.put(f"s3://raw/photos/bin-images/{number:05d}.jpg", b"photo %d" % number)
    account.functions[CHAMPION] = lambda event: {
        "champion_name": "baseline",
        "champion_model_url": event["baseline_model_url"],
    }
    account.sagemaker.create_model_package_group(ModelPackageGroupName="tally")
    account.sagemaker.create_pipeline(
        PipelineName="tally", RoleArn=ROLE, PipelineDefinition=json.dumps(build(settings))
    )
    yield account, queue
    account.close()


def run(account, **parameters):
    return account.start(
        "tally", InputPrefix="photos", InputRevision="r1", TrainInstanceCount="1", **SMALL, **parameters
    )


def test_a_model_is_trained_judged_registered_and_deployed(tally):
    account, queue = tally
    seen = []

    def deploy():
        message = account.receive(queue)
        seen.append(message)
        arn = message["arguments"]["model_package_arn"]
        outputs = {"endpoint_name": "tally-dev", "model_package_arn": arn}
        account.sagemaker.send_pipeline_execution_step_success(
            CallbackToken=message["token"],
            OutputParameters=[{"Name": name, "Value": value} for name, value in outputs.items()],
        )

    deployer = threading.Thread(target=deploy)
    deployer.start()
    execution = run(account)
    assert account.ended(execution) == "Succeeded", account.steps(execution)
    deployer.join()
    steps = account.steps(execution)
    assert {step["StepStatus"] for step in steps.values()} == {"Succeeded"}
    assert "Refused" not in steps
    package = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    assert seen[0]["arguments"]["model_package_arn"] == package
    described = account.sagemaker.describe_model_package(ModelPackageName=package)
    assert described["CustomerMetadataProperties"]["verdict"] == "promote"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"
    best = account.sagemaker.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=steps["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    )["BestTrainingJob"]
    trained = account.sagemaker.describe_training_job(
        TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    )
    assert trained["HyperParameters"]["lr"] == best["TunedHyperParameters"]["lr"]
    card = json.loads(described["ModelCard"]["ModelCardContent"])
    assert card["evaluation_details"][0]["name"] == "the challenger was compared with baseline"
    assert card["evaluation_details"][0]["datasets"][0].endswith("/Preprocess/train")
    logs = [log.read_text() for log in (account.folder / "executions").rglob("algo-1.log")]
    assert sum("trials=2" in log for log in logs) == 1  # what the search left is a channel of the job that follows


def test_a_refused_model_is_not_registered(tally, stand_in):
    account, _ = tally
    stand_in.behave(verdict="reject")
    execution = run(account)
    assert account.ended(execution) == "Failed"
    steps = account.steps(execution)
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert steps["Refused"]["FailureReason"].startswith("The gate says reject")
    assert not {"Register", "Deploy"} & set(steps)
    assert account.sagemaker.list_model_packages(ModelPackageGroupName="tally")["ModelPackageSummaryList"] == []
