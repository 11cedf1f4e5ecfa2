"""The serving stack: nothing before the first model, then one that scales and can be taken back."""

import json
import re
from typing import Any

import pytest

from infra.alarms import rollback_alarms
from infra.constructs.local_disk import has_local_disk
from infra.settings import read_settings
from tests.infra.conftest import AppOf
from tests.infra.synth import ROOT, Synthesized, contexts, text
from tests.infra.templates import OTHERWISE

PACKAGE = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/tally-dev/7"


@pytest.fixture(scope="module")
def other(app_of: AppOf) -> Synthesized:
    return app_of("prod", OTHERWISE)


def test_without_a_model_the_stack_has_nothing_that_costs(dev: Synthesized) -> None:
    template = dev.templates["serving"]
    assert template["Parameters"]["ModelPackageArn"]["Default"] == ""
    assert template["Conditions"]["HasModel"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ModelPackageArn"}, ""]}]}
    always = {item["Type"] for item in template["Resources"].values() if item.get("Condition") != "HasModel"}
    assert always == {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::Logs::LogGroup"}
    assert template["Outputs"]["EndpointName"]["Condition"] == "HasModel"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("", True),
        (PACKAGE, True),
        (PACKAGE.replace("aws:", "aws-cn:", 1), True),
        (PACKAGE.removesuffix("/7"), False),  # the group, not a version
        ("7", False),
        (PACKAGE + "\n", False),
    ],
)
def test_parameter_takes_a_version_or_nothing(dev: Synthesized, value: str, allowed: bool) -> None:
    pattern = dev.templates["serving"]["Parameters"]["ModelPackageArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is allowed


def test_a_release_replaces_model_and_configuration_but_not_the_endpoint(dev: Synthesized) -> None:
    """Names that CloudFormation generates change with the package; only the endpoint's is fixed."""
    model, config = dev.only("serving", "AWS::SageMaker::Model"), dev.only("serving", "AWS::SageMaker::EndpointConfig")
    endpoint = dev.only("serving", "AWS::SageMaker::Endpoint")
    package = {"Ref": "ModelPackageArn"}
    assert model["PrimaryContainer"] == {"ModelPackageName": package, "Environment": {"TALLY_MODEL_PACKAGE": package}}
    assert "ModelName" not in model
    assert "EndpointConfigName" not in config
    assert endpoint["EndpointName"] == "tally-dev"


def test_requests_go_to_the_instance_that_has_the_fewest_at_hand(dev: Synthesized) -> None:
    (variant,) = dev.only("serving", "AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    assert variant["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}


def test_the_servers_own_variable_takes_none_from_a_package() -> None:
    """CreateModel once refused an environment beside that of a package (sagemaker-python-sdk, issue 3397), and nobody
    documents what becomes of both. Packages of our pipeline have none, so there is nothing to lose."""
    definition = json.loads((ROOT / "tests" / "pipeline" / "definition.json").read_text())
    containers = re.findall(r'"Containers": (\[.*?\])', json.dumps(definition))
    assert containers
    for written in containers:
        assert [container.keys() for container in json.loads(written)] == [{"Image", "ModelDataUrl"}]


def test_nothing_else_hangs_on_the_stack(dev: Synthesized) -> None:
    """A release updates it with its own template: an export in use, or another stack's model, would stop that."""
    template = dev.templates["serving"]
    assert not [name for name, output in template["Outputs"].items() if "Export" in output]
    imports = set(re.findall(r"'Fn::ImportValue': '([^:]+):", str(template)))
    assert imports == {"tally-dev-data"}


def test_canary_where_there_are_instances_for_one(dev: Synthesized, other: Synthesized) -> None:
    assert traffic(other) == {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30},
        "WaitIntervalInSeconds": 420,
    }
    assert traffic(dev) == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}  # one instance cannot be halved


def test_time_for_a_release_is_longer_than_its_watches(dev: Synthesized, other: Synthesized) -> None:
    for made in (dev, other):
        policy = made.only("serving", "AWS::SageMaker::Endpoint")["DeploymentConfig"]["BlueGreenUpdatePolicy"]
        assert policy["MaximumExecutionTimeoutInSeconds"] >= 2 * traffic(made)["WaitIntervalInSeconds"] + 1800


def test_rollback_alarms_watch_what_the_table_says(other: Synthesized) -> None:
    settings = read_settings(contexts("prod")["environments"], "prod", OTHERWISE)
    made = {item["AlarmName"]: item for item in other.resources("serving", "AWS::CloudWatch::Alarm").values()}
    table = {f"tally-prod-{alarm.key}": alarm for alarm in rollback_alarms(settings)}
    assert made.keys() == table.keys()
    for name, alarm in table.items():
        assert (made[name]["MetricName"], made[name]["Threshold"]) == (alarm.metric, alarm.threshold)
        assert made[name]["AlarmDescription"] == alarm.description
    assert made["tally-prod-rollback-latency"]["Threshold"] == 900_000  # microseconds


def test_role_reads_models_and_writes_captures_only(dev: Synthesized) -> None:
    buckets = {
        (statement["Action"], text(statement["Resource"]).rpartition(">")[2])
        for statement in dev.statements("serving", "ExecutionRole")
        if str(statement["Action"]).startswith("s3:")
    }
    assert buckets == {("s3:GetObject", "/executions/*"), ("s3:PutObject", "/capture/*")}


def test_model_waits_for_the_permissions_of_its_role(dev: Synthesized) -> None:
    model = next(
        item for item in dev.templates["serving"]["Resources"].values() if item["Type"] == "AWS::SageMaker::Model"
    )
    assert [name for name in model["DependsOn"] if name.startswith("ExecutionRoleDefaultPolicy")]


def test_endpoint_joins_the_vpc_where_there_is_one(dev: Synthesized, prod: Synthesized) -> None:
    assert "VpcConfig" not in dev.only("serving", "AWS::SageMaker::Model")
    vpc = prod.only("serving", "AWS::SageMaker::Model")["VpcConfig"]
    assert (len(vpc["Subnets"]), len(vpc["SecurityGroupIds"])) == (2, 1)
    allowed = [statement["Action"] for statement in prod.statements("serving", "ExecutionRole")]
    assert any("ec2:CreateNetworkInterface" in actions for actions in allowed)


def policies(made: Synthesized) -> dict[str, Any]:
    """By metric: target, and cooldowns after a scale-out and a scale-in."""
    found = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in made.resources("serving", "AWS::ApplicationAutoScaling::ScalingPolicy").values()
    ]
    return {
        one["PredefinedMetricSpecification"]["PredefinedMetricType"]: (
            one["TargetValue"],
            one["ScaleOutCooldown"],
            one["ScaleInCooldown"],
        )
        for one in found
    }


def test_scaling_follows_requests_and_slow_requests(dev: Synthesized, other: Synthesized) -> None:
    minutely = "SageMakerVariantInvocationsPerInstance"
    at_hand = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    assert policies(dev) == {minutely: (600, 60, 300), at_hand: (4, 60, 300)}
    assert policies(other) == {minutely: (4321, 70, 480), at_hand: (7, 70, 480)}
    target = other.only("serving", "AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 5)


def test_captures_can_be_switched_off(other: Synthesized) -> None:
    assert other.only("serving", "AWS::SageMaker::EndpointConfig")["DataCaptureConfig"]["EnableCapture"] is False


def test_no_key_for_disks_that_refuse_one(other: Synthesized) -> None:
    assert "KmsKeyId" not in other.only("serving", "AWS::SageMaker::EndpointConfig")


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [
        ("ml.c5.large", False),
        ("ml.m6i.xlarge", False),
        ("ml.p3.2xlarge", False),
        ("ml.inf2.xlarge", False),
        ("ml.c5d.large", True),
        ("ml.m6gd.large", True),
        ("ml.g4dn.xlarge", True),
        ("ml.g5.xlarge", True),
        ("ml.g6e.xlarge", True),
        ("ml.p4d.24xlarge", True),
        ("ml.trn1.2xlarge", True),
    ],
)
def test_disks_of_the_host(instance_type: str, local: bool) -> None:
    assert has_local_disk(instance_type) is local


def traffic(made: Synthesized) -> dict[str, Any]:
    deployment = made.only("serving", "AWS::SageMaker::Endpoint")["DeploymentConfig"]
    routing: dict[str, Any] = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    return routing
