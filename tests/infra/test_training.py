"""The training stack: the pipeline that is deployed, what its roles may do, and what starts it."""

import json
import re
from typing import Any

import pytest

from pipeline.validate import validate
from tests.infra.conftest import ENVIRONMENTS, AppOf
from tests.infra.synth import Synthesized, actions_of, text

_FILLED_IN = {"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012"}


def definition_of(app: Synthesized) -> dict[str, Any]:
    """The definition as SageMaker gets it, with an example for whatever is only known when deployed."""
    body = app.only("training", "AWS::SageMaker::Pipeline")["PipelineDefinition"]["PipelineDefinitionBody"]
    written = "".join(part if isinstance(part, str) else _example(part) for part in body["Fn::Join"][1])
    definition: dict[str, Any] = json.loads(written)
    return definition


def _example(part: dict[str, Any]) -> str:
    if (name := part.get("Ref")) in _FILLED_IN:
        return _FILLED_IN[str(name)]
    named = json.dumps(part)
    account = "eu-central-1:123456789012"
    for words, example in (
        ("Role", f"arn:aws:iam::123456789012:role/{re.sub('[^A-Za-z]', '', named)}"),
        ("Key", f"arn:aws:kms:{account}:key/00000000-0000-0000-0000-000000000000"),
        ("Champion", f"arn:aws:lambda:{account}:function:champion"),
        ("Queue", "https://sqs.eu-central-1.amazonaws.com/123456789012/release"),
        ("Subnet", "subnet-0123456789abcdef0"),
        ("GroupId", "sg-0123456789abcdef0"),
    ):
        if words in named:
            return example
    return "a-bucket"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_deployed_definition_is_one_that_sagemaker_takes(app_of: AppOf, environment: str) -> None:
    definition = definition_of(app_of(environment))
    assert validate(definition) == []
    assert len(json.dumps(definition)) < 1_048_576  # CreatePipeline's limit


@pytest.mark.e2e
def test_settings_of_an_environment_reach_the_definition(app_of: AppOf, dev: Synthesized) -> None:
    def parameters(app: Synthesized) -> dict[str, Any]:
        return {each["Name"]: each.get("DefaultValue") for each in definition_of(app)["Parameters"]}

    assert parameters(dev)["HpoJobs"] == 6
    laptop = definition_of(app_of("laptop"))
    assert parameters(app_of("laptop"))["Backbone"] == "shufflenet_v2_x1_0"
    (train,) = [step for step in laptop["Steps"] if step["Name"] == "Train"]
    assert train["Arguments"]["EnableManagedSpotTraining"] is False
    assert train["Arguments"]["HyperParameters"]["workers"] == "0"
    (train,) = [step for step in definition_of(dev)["Steps"] if step["Name"] == "Train"]
    assert train["Arguments"]["EnableManagedSpotTraining"] is True


def test_jobs_run_in_the_vpc_where_there_is_one(prod: Synthesized, dev: Synthesized, tailored: Synthesized) -> None:
    for app, subnets in ((prod, 2), (dev, 0), (tailored, 2)):
        for step in definition_of(app)["Steps"]:
            request = step.get("Arguments", {})
            if step["Type"] == "Training":
                assert len(request.get("VpcConfig", {}).get("Subnets", [])) == subnets
            if step["Type"] == "Processing":
                assert len(request["NetworkConfig"].get("VpcConfig", {}).get("Subnets", [])) == subnets
    for role in ("RolesProcessing", "RolesTraining"):
        interfaces = [each for each in prod.statements("training", role) if each.get("Sid") == "Interfaces"]
        assert len(interfaces) == 1
        assert not [each for each in dev.statements("training", role) if "ec2:" in json.dumps(each)]


def test_jobs_touch_their_own_buckets_and_training_never_sees_photos(dev: Synthesized) -> None:
    def reachable(role: str, action: str) -> set[str]:
        found = [each for each in dev.statements("training", role) if action in actions_of(each)]
        resources = [each["Resource"] for each in found]
        names = [text(one) for each in resources for one in (each if isinstance(each, list) else [each])]
        return {name.split(":::")[1].replace("-<AWS::AccountId>-<AWS::Region>", "") for name in names}

    assert reachable("RolesProcessing", "s3:GetObject") == {"tally-dev-raw/*", "tally-dev-artifacts/executions/*"}
    assert reachable("RolesTraining", "s3:GetObject") == {"tally-dev-artifacts/executions/*"}
    for role in ("RolesProcessing", "RolesTraining"):
        assert reachable(role, "s3:PutObject") == {"tally-dev-artifacts/executions/*"}
        assert not [each for each in dev.statements("training", role) if "s3:DeleteObject" in actions_of(each)]


def test_given_weights_can_be_read_by_training_only(tailored: Synthesized) -> None:
    readers = [
        role
        for role in ("RolesProcessing", "RolesTraining", "RolesPipeline")
        if "acme-weights/imagenet/*" in json.dumps(tailored.statements("training", role))
    ]
    assert readers == ["RolesTraining"]


def test_images_given_by_uri_are_the_only_ones_that_can_be_pulled(dev: Synthesized) -> None:
    for role, name in (
        ("RolesProcessing", "tally-train"),
        ("RolesTraining", "tally-train"),
        ("RolesPipeline", "tally-serve"),
    ):
        (pull,) = [each for each in dev.statements("training", role) if "ecr:BatchGetImage" in actions_of(each)]
        assert text(pull["Resource"]) == f"arn:<AWS::Partition>:ecr:eu-central-1:123456789012:repository/{name}"


def test_the_pipeline_passes_roles_to_sagemaker_only(dev: Synthesized) -> None:
    (passing,) = [each for each in dev.statements("training", "RolesPipeline") if "iam:PassRole" in actions_of(each)]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert sorted(text(role)[:20] for role in passing["Resource"]) == ["<RolesProcessingAE6E", "<RolesTrainingE75173"]


def test_a_success_file_in_any_prefix_of_the_raw_bucket_calls_the_trigger(dev: Synthesized) -> None:
    rules = dev.resources("training", "AWS::Events::Rule").values()
    (rule,) = [each for each in rules if each["EventPattern"]["source"] == ["aws.s3"]]
    assert rule["State"] == "ENABLED"
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    detail = rule["EventPattern"]["detail"]
    assert detail["object"]["key"] == [{"suffix": "/_SUCCESS"}]
    assert "Raw" in json.dumps(detail["bucket"]["name"])
    (target,) = rule["Targets"]
    assert "Trigger" in text(target["Arn"])
    assert "DeadLetters" in text(target["DeadLetterConfig"]["Arn"])


@pytest.mark.parametrize(("environment", "state"), [("dev", "DISABLED"), ("prod", "ENABLED")])
def test_the_weekly_run_can_be_switched(app_of: AppOf, environment: str, state: str) -> None:
    schedule = app_of(environment).only("training", "AWS::Scheduler::Schedule")
    assert schedule["State"] == state
    assert schedule["ScheduleExpression"] == "cron(0 3 ? * SUN *)"
    assert json.loads(schedule["Target"]["Input"]) == {"prefix": "photos"}
    assert "DeadLetters" in text(schedule["Target"]["DeadLetterConfig"]["Arn"])


def test_an_event_that_starts_nothing_is_kept(dev: Synthesized) -> None:
    functions = dev.resources("training", "AWS::Lambda::Function").values()
    (trigger,) = [each for each in functions if each["FunctionName"] == "tally-dev-trigger"]
    assert "DeadLetters" in text(trigger["DeadLetterConfig"]["TargetArn"])
    assert trigger["Environment"]["Variables"]["PIPELINE_NAME"] == "tally-dev"


def test_people_are_told_in_a_sentence_how_a_run_ended(dev: Synthesized) -> None:
    rules = dev.resources("training", "AWS::Events::Rule").values()
    (rule,) = [each for each in rules if each["EventPattern"]["source"] == ["aws.sagemaker"]]
    detail = rule["EventPattern"]["detail"]
    assert detail["currentPipelineExecutionStatus"] == ["Succeeded", "Failed", "Stopped"]
    assert text(detail["pipelineArn"][0]).endswith(":pipeline/tally-dev")
    (target,) = rule["Targets"]
    paths, template = (target["InputTransformer"][key] for key in ("InputPathsMap", "InputTemplate"))
    values = {
        "$.detail.pipelineExecutionDisplayName": "execution-1",
        "$.detail.currentPipelineExecutionStatus": "Failed",
        "$.detail.pipelineExecutionArn": "arn:aws:sagemaker:...:pipeline/tally-dev/execution/abc",
        "$.time": "2026-11-21T03:00:00Z",
        "$.region": "eu-central-1",
    }
    for name, path in paths.items():
        template = template.replace(f"<{name}>", values[path])
    assert template.startswith(
        '"Tally dev: the run execution-1 of pipeline tally-dev ended: Failed at 2026-11-21T03:00'
    )
    assert "list-pipeline-execution-steps --region eu-central-1 --pipeline-execution-arn arn:aws:sagemaker" in template
    assert "<" not in template
