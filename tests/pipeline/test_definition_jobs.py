"""What every job of the definition must have: nothing in AWS enforces these, so they are asserted here."""

import json
from typing import Any

import pytest

from pipeline.definition import build
from pipeline.parameters import CPU_INSTANCES, GPU_INSTANCES
from pipeline.settings import example_settings
from tests.pipeline.walk import jobs, request, step

KEY = example_settings().kms_key


@pytest.mark.parametrize("gpu", [True, False])
def test_every_job_encrypts_its_volumes_and_outputs(gpu: bool) -> None:
    definition = build(example_settings(gpu=gpu))
    types = {item["Name"]: item.get("EnumValues") for item in definition["Parameters"]}
    for job in map(request, jobs(definition)):
        cluster = job["ProcessingResources"]["ClusterConfig"] if "ProcessingResources" in job else job["ResourceConfig"]
        outputs = job.get("ProcessingOutputConfig") or job["OutputDataConfig"]
        assert outputs["KmsKeyId"] == KEY
        allowed = types[cluster["InstanceType"]["Get"].removeprefix("Parameters.")]
        # The disks of GPU instances are encrypted by their hardware, and SageMaker refuses a key for them.
        assert allowed == (CPU_INSTANCES if "VolumeKmsKeyId" in cluster else GPU_INSTANCES)
        assert cluster.get("VolumeKmsKeyId", KEY) == KEY


def test_every_job_carries_the_tags_that_costs_are_counted_by() -> None:
    tagged = [item["Arguments"].get("Tags") for item in jobs(build(example_settings(tags={"tally": "tally-dev"})))]
    assert tagged == [[{"Key": "tally", "Value": "tally-dev"}]] * 5


def test_every_job_is_isolated_and_encrypts_traffic(definition: dict[str, Any]) -> None:
    for job in map(request, jobs(definition)):
        network = job.get("NetworkConfig", job)
        assert network["EnableNetworkIsolation"] is True
        assert network["EnableInterContainerTrafficEncryption"] is True


def test_every_job_ends_some_day_and_is_tried_again(definition: dict[str, Any]) -> None:
    assert len(jobs(definition)) == 5
    for job in jobs(definition):
        assert request(job)["StoppingCondition"]["MaxRuntimeInSeconds"] <= 24 * 3600
        retried = {name for policy in job["RetryPolicies"] for name in policy["ExceptionType"]}
        assert retried >= {
            "SageMaker.CAPACITY_ERROR",
            "SageMaker.RESOURCE_LIMIT",
            "Step.THROTTLING",
            "Step.SERVICE_FAULT",
        }
    tuning = step(definition, "Tune")["Arguments"]
    assert tuning["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxRuntimeInSeconds"] == 72 * 3600
    assert tuning["TrainingJobDefinition"]["RetryStrategy"] == {"MaximumRetryAttempts": 3}


def test_jobs_run_in_the_vpc_when_there_is_one(definition: dict[str, Any]) -> None:
    inside = build(example_settings(subnets=("subnet-1", "subnet-2"), security_group_ids=("sg-1",)))
    for job in map(request, jobs(inside)):
        assert job.get("NetworkConfig", job)["VpcConfig"] == {
            "SecurityGroupIds": ["sg-1"],
            "Subnets": ["subnet-1", "subnet-2"],
        }
    assert "VpcConfig" not in json.dumps(definition)


def test_training_runs_on_spot_with_checkpoints_unless_switched_off(definition: dict[str, Any]) -> None:
    names = ("TrainBaseline", "Tune", "Train")
    for job in (request(step(definition, name)) for name in names):
        assert job["EnableManagedSpotTraining"] is True
        assert job["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"
        assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] > job["StoppingCondition"]["MaxRuntimeInSeconds"]
    for job in (request(step(build(example_settings(spot=False)), name)) for name in names):
        assert job["EnableManagedSpotTraining"] is False
        assert "CheckpointConfig" not in job
        assert "MaxWaitTimeInSeconds" not in job["StoppingCondition"]
