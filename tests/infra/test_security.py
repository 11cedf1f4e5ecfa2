"""What a person who trusts the platform with photos and an account loses when a template lets go of it.

The rules are in `security_rules`. Each is shown to hold in every environment, and to fail where a template breaks it.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.conftest import ENVIRONMENTS, AppOf
from tests.infra.security_rules import RULES, Rule, jobs
from tests.infra.templates import platform_of

Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_environment_keeps_the_rule(app_of: AppOf, environment: str, rule: Rule) -> None:
    assert not list(rule(platform_of(app_of(environment))))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_rules_see_every_job_of_the_pipeline(app_of: AppOf, environment: str) -> None:
    steps = {step["Name"]: step["Type"] for step, _ in jobs(platform_of(app_of(environment)))}
    assert steps == {
        "Preprocess": "Processing",
        "TrainBaseline": "Training",
        "Tune": "Tuning",
        "Train": "Training",
        "Evaluate": "Processing",
    }


def drop(*path: str) -> Change:
    """Take a property away."""

    def change(properties: dict[str, Any]) -> None:
        for name in path[:-1]:
            properties = properties[name]
        del properties[path[-1]]

    return change


def put(value: Any, *path: str) -> Change:
    """Give a property another value."""

    def change(properties: dict[str, Any]) -> None:
        for name in path[:-1]:
            properties = properties[name]
        properties[path[-1]] = value

    return change


def in_definition(old: str, new: str) -> Change:
    """Replace a text in the pipeline's definition."""

    def change(properties: dict[str, Any]) -> None:
        parts = properties["PipelineDefinition"]["PipelineDefinitionBody"]["Fn::Join"][1]
        assert any(old in part for part in parts if isinstance(part, str))
        parts[:] = [part.replace(old, new) if isinstance(part, str) else part for part in parts]

    return change


def allow(action: str | list[str], resource: Any) -> Change:
    """Add a statement to a policy."""

    def change(properties: dict[str, Any]) -> None:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        properties["PolicyDocument"]["Statement"].append(statement)

    return change


def without_conditions(properties: dict[str, Any]) -> None:
    """Statements lose what limits them."""
    for statement in properties["PolicyDocument"]["Statement"]:
        statement.pop("Condition", None)


KEY_FOR_ALL = '"VolumeSizeInGB"', '"VolumeKmsKeyId":"key","VolumeSizeInGB"'
ISOLATED = '"EnableNetworkIsolation":true', '"EnableNetworkIsolation":false'

BREAKS: tuple[tuple[str, str, Change, str], ...] = (
    # rule, type of the resource, what is done to the first of them in each stack, what the rule must say
    ("encrypted_with_our_key", "AWS::S3::Bucket", drop("BucketEncryption"), "BucketEncryption"),
    ("encrypted_with_our_key", "AWS::SNS::Topic", put("alias/aws/sns", "KmsMasterKeyId"), "KmsMasterKeyId"),
    ("encrypted_with_our_key", "AWS::SQS::Queue", drop("KmsMasterKeyId"), "KmsMasterKeyId"),
    ("encrypted_with_our_key", "AWS::Logs::LogGroup", drop("KmsKeyId"), "KmsKeyId"),
    ("encrypted_with_our_key", "AWS::Lambda::Function", drop("KmsKeyArn"), "KmsKeyArn"),
    ("encrypted_with_our_key", "AWS::Scheduler::Schedule", drop("KmsKeyArn"), "KmsKeyArn"),
    ("encrypted_with_our_key", "AWS::SageMaker::EndpointConfig", drop("KmsKeyId"), "KmsKeyId"),
    ("encrypted_with_our_key", "AWS::SageMaker::EndpointConfig", drop("DataCaptureConfig", "KmsKeyId"), "captured"),
    ("encrypted_with_our_key", "AWS::SageMaker::Pipeline", in_definition('"VolumeKmsKeyId"', '"Key"'), "Preprocess"),
    ("encrypted_with_our_key", "AWS::SageMaker::Pipeline", in_definition(*KEY_FOR_ALL), "step Tune: SageMaker refuses"),
    ("encrypted_with_our_key", "AWS::SageMaker::Pipeline", in_definition('"KmsKeyId"', '"Key"'), "step Tune"),
    ("tls_only", "AWS::S3::BucketPolicy", put([], "PolicyDocument", "Statement"), "s3:*"),
    ("tls_only", "AWS::SNS::TopicPolicy", without_conditions, "sns:Publish"),
    ("tls_only", "AWS::SQS::QueuePolicy", put([], "PolicyDocument", "Statement"), "sqs:*"),
    ("buckets_are_private", "AWS::S3::Bucket", drop("PublicAccessBlockConfiguration"), "BlockPublicAcls"),
    ("buckets_are_private", "AWS::S3::Bucket", drop("VersioningConfiguration"), "no versions"),
    ("isolated", "AWS::SageMaker::Model", put(False, "EnableNetworkIsolation"), "not isolated"),
    ("isolated", "AWS::SageMaker::Pipeline", in_definition(*ISOLATED), "step Preprocess"),
    ("least_privilege", "AWS::IAM::Policy", allow("s3:*", "arn:aws:s3:::mine"), "action s3:*"),
    ("least_privilege", "AWS::IAM::Policy", allow("s3:GetObject", "*"), "on every resource"),
    ("least_privilege", "AWS::IAM::Policy", allow("s3:GetObject", "arn:aws:s3:::*/photos"), "['s3:GetObject'] on"),
    ("least_privilege", "AWS::IAM::Policy", without_conditions, "into every namespace"),
    (
        "least_privilege",
        "AWS::IAM::Role",
        put(["arn:aws:iam::aws:policy/AmazonS3FullAccess"], "ManagedPolicyArns"),
        "Full",
    ),
    ("functions_are_complete", "AWS::Lambda::Function", drop("Timeout"), "no Timeout"),
    ("functions_are_complete", "AWS::Lambda::Function", drop("MemorySize"), "no MemorySize"),
    ("functions_are_complete", "AWS::Lambda::Function", drop("LoggingConfig"), "no log group"),
    ("functions_are_complete", "AWS::Lambda::Function", put({"Ref": "Shared"}, "Role"), "shares its role"),
    ("functions_are_complete", "AWS::Lambda::Function", put(None, "DeadLetterConfig"), "are lost"),
    ("nothing_is_lost_on_the_way", "AWS::Events::Rule", put([{"Arn": "arn", "Id": "t"}], "Targets"), "dead-letter"),
    ("nothing_is_lost_on_the_way", "AWS::Scheduler::Schedule", drop("Target", "DeadLetterConfig"), "dead-letter"),
    ("nothing_is_lost_on_the_way", "AWS::SQS::Queue", put(None, "RedrivePolicy"), "a function reads it"),
    ("logs_end", "AWS::Logs::LogGroup", drop("RetentionInDays"), "for ever"),
    ("releases_are_watched", "AWS::SageMaker::Endpoint", put(False, "RetainAllVariantProperties"), "resets"),
    ("releases_are_watched", "AWS::SageMaker::Endpoint", drop("DeploymentConfig"), "nobody watches"),
    (
        "releases_are_watched",
        "AWS::SageMaker::Endpoint",
        drop("DeploymentConfig", "AutoRollbackConfiguration"),
        "ModelLatency",
    ),
    ("releases_are_watched", "AWS::CloudWatch::Alarm", put([], "Dimensions"), "other instances"),
    ("releases_are_watched", "AWS::CloudWatch::Alarm", put("breaching", "TreatMissingData"), "first request"),
    ("scaling_has_bounds", "AWS::ApplicationAutoScaling::ScalableTarget", put(0, "MinCapacity"), "between 0"),
    ("scaling_has_bounds", "AWS::ApplicationAutoScaling::ScalableTarget", put(99, "MinCapacity"), "between 99"),
    (
        "scaling_has_bounds",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        drop("TargetTrackingScalingPolicyConfiguration", "ScaleInCooldown"),
        "no ScaleInCooldown",
    ),
)


@pytest.mark.parametrize(("rule", "kind", "change", "said"), BREAKS, ids=[f"{row[0]}-{row[3]}" for row in BREAKS])
def test_a_template_that_breaks_the_rule_is_found(
    app_of: AppOf, rule: str, kind: str, change: Change, said: str
) -> None:
    made = app_of("prod")
    templates = copy.deepcopy(dict(made.templates))
    changed = [
        resource["Properties"]
        for template in templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == kind
    ]
    for properties in changed:
        change(properties)
    assert changed, f"no {kind} in the templates"
    (check,) = (item for item in RULES if item.__name__ == rule)
    found = list(check(platform_of(made, templates)))
    assert [line for line in found if said in line], found


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule.__name__ for rule in RULES} == {row[0] for row in BREAKS}
