"""Rules of our own over all templates of an environment: what cdk-nag and cfn-lint do not look at.

Each rule takes the platform and yields a sentence for what breaks it.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from infra.constructs.local_disk import has_local_disk
from infra.references import Node, Platform
from tests.infra.privilege_rules import least_privilege
from tests.infra.templates import at, listed, name_of

Rule = Callable[[Platform], Iterator[str]]


def encrypted_with_our_key(platform: Platform) -> Iterator[str]:
    """Volumes, outputs, log groups, topics, queues, buckets, environment variables, schedules."""
    keys = {
        "AWS::S3::Bucket": "BucketEncryption",
        "AWS::SNS::Topic": "KmsMasterKeyId",
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::Lambda::Function": "KmsKeyArn",
        "AWS::Scheduler::Schedule": "KmsKeyArn",
        "AWS::SageMaker::EndpointConfig": "KmsKeyId",
    }
    for kind, name in keys.items():
        for node in platform.of_type(kind):
            if node.id.startswith("AccessLogs") and _is_s3_managed(platform, node):
                continue  # S3 delivers access logs to no bucket with a KMS default that it does not own
            if not _is_our_key(platform, node, platform.property(node, name)):
                yield f"{name_of(node)}: {name} is not the platform's key"
    for node in platform.of_type("AWS::SageMaker::EndpointConfig"):
        if not _is_our_key(platform, node, platform.property(node, "DataCaptureConfig.KmsKeyId")):
            yield f"{name_of(node)}: captured requests are not encrypted with the platform's key"
    for step, arguments in jobs(platform):
        for path in _JOB_KEYS[step["Type"]]:
            if path.endswith("VolumeKmsKeyId") and all(map(has_local_disk, step["InstanceTypes"])):
                if at(arguments, path) is not None:
                    yield f"step {step['Name']}: SageMaker refuses {path} for disks that their hardware encrypts"
            elif not re.fullmatch(r"<data/Key\w*>", str(at(arguments, path))):
                yield f"step {step['Name']}: {path} is {at(arguments, path)!r}, not the platform's key"


def tls_only(platform: Platform) -> Iterator[str]:
    """Buckets, topics and queues refuse requests without TLS."""
    policies = {
        "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket", "s3:*"),
        "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
        "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
    }
    for kind, (policy_kind, target, action) in policies.items():
        for node in platform.of_type(kind):
            statements = [
                statement
                for policy in platform.of_type(policy_kind)
                if node in platform.mentioned(policy, platform.property(policy, target))
                for statement in platform.property(policy, "PolicyDocument.Statement")
            ]
            if not any(_denies_plain(statement, action) for statement in statements):
                yield f"{name_of(node)}: no policy denies {action} without TLS"


def buckets_are_private(platform: Platform) -> Iterator[str]:
    """No public access by any road, and versions that survive an overwrite."""
    for node in platform.of_type("AWS::S3::Bucket"):
        block = platform.property(node, "PublicAccessBlockConfiguration") or {}
        for switch in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
            if block.get(switch) is not True:
                yield f"{name_of(node)}: {switch} is off"
        if platform.property(node, "VersioningConfiguration.Status") != "Enabled":
            yield f"{name_of(node)}: no versions"


def isolated(platform: Platform) -> Iterator[str]:
    """Containers reach no network, and talk to each other in cipher."""
    for node in platform.of_type("AWS::SageMaker::Model"):
        if platform.property(node, "EnableNetworkIsolation") is not True:
            yield f"{name_of(node)}: the model's container is not isolated"
    for step, arguments in jobs(platform):
        network = arguments.get("NetworkConfig", arguments)
        for switch in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"):
            if network.get(switch) is not True:
                yield f"step {step['Name']}: {switch} is off"


def functions_are_complete(platform: Platform) -> Iterator[str]:
    """Every function: timeout, memory, a role and a log of its own with an end, and a place for events it fails on."""
    roles = [platform.text(node, platform.property(node, "Role")) for node in platform.of_type("AWS::Lambda::Function")]
    for node in platform.of_type("AWS::Lambda::Function"):
        for name in ("Timeout", "MemorySize"):
            if not isinstance(platform.property(node, name), int):
                yield f"{name_of(node)}: no {name}"
        if roles.count(platform.text(node, platform.property(node, "Role"))) != 1:
            yield f"{name_of(node)}: shares its role"
        logs = platform.mentioned(node, platform.property(node, "LoggingConfig.LogGroup"))
        if [platform.type(log) for log in logs] != ["AWS::Logs::LogGroup"]:
            yield f"{name_of(node)}: no log group of its own"
        if _called_by_events(platform, node) and not platform.property(node, "DeadLetterConfig.TargetArn"):
            yield f"{name_of(node)}: events call it, and those it fails on are lost"


def nothing_is_lost_on_the_way(platform: Platform) -> Iterator[str]:
    """Rules, schedules and queues that call something keep what they could not deliver."""
    for kind, path in (("AWS::Events::Rule", "Targets"), ("AWS::Scheduler::Schedule", "Target")):
        for node in platform.of_type(kind):
            for target in listed(platform.property(node, path)):
                if not target.get("DeadLetterConfig"):
                    yield f"{name_of(node)}: no dead-letter queue"
    for mapping in platform.of_type("AWS::Lambda::EventSourceMapping"):
        for queue in platform.mentioned(mapping, platform.property(mapping, "EventSourceArn")):
            if not platform.property(queue, "RedrivePolicy"):
                yield f"{name_of(queue)}: a function reads it, and it has no dead-letter queue"


def logs_end(platform: Platform) -> Iterator[str]:
    """Every log group has a retention."""
    for node in platform.of_type("AWS::Logs::LogGroup"):
        if not platform.property(node, "RetentionInDays"):
            yield f"{name_of(node)}: kept for ever"


def releases_are_watched(platform: Platform) -> Iterator[str]:
    """The endpoint keeps its instances over a release, and alarms on the new ones bring the old ones back."""
    for node in platform.of_type("AWS::SageMaker::Endpoint"):
        if platform.property(node, "RetainAllVariantProperties") is not True:
            yield f"{name_of(node)}: a release resets the number of instances"
        deployment = platform.property(node, "DeploymentConfig") or {}
        if not at(deployment, "BlueGreenUpdatePolicy.TrafficRoutingConfiguration.WaitIntervalInSeconds"):
            yield f"{name_of(node)}: nobody watches before all traffic is shifted"
        alarms = platform.mentioned(node, at(deployment, "AutoRollbackConfiguration.Alarms"))
        watched = {platform.property(alarm, "MetricName") for alarm in alarms}
        for metric in sorted({"Invocation5XXErrors", "ModelLatency", "InvocationModelErrors"} - watched):
            yield f"{name_of(node)}: no roll back on {metric}"
        configs = platform.mentioned(node, platform.property(node, "EndpointConfigName"))
        for alarm in alarms:
            if platform.mentioned(alarm, platform.property(alarm, "Dimensions")) != configs:
                yield f"{name_of(alarm)}: watches other instances than those that the release makes"
            if platform.property(alarm, "TreatMissingData") != "notBreaching":
                yield f"{name_of(alarm)}: fires before the first request"


def scaling_has_bounds(platform: Platform) -> Iterator[str]:
    """Scaling stays within a minimum and a maximum, waits between steps, and a new endpoint begins within them."""
    targets = platform.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    for node in targets:
        low, high = (platform.property(node, name) for name in ("MinCapacity", "MaxCapacity"))
        if not 1 <= low <= high:
            yield f"{name_of(node)}: between {low} and {high} instances"
        for config in platform.of_type("AWS::SageMaker::EndpointConfig"):
            for count in platform.property(config, "ProductionVariants.InitialInstanceCount"):
                if not low <= count <= high:
                    yield f"{name_of(config)}: begins with {count} instances, scaling allows {low} to {high}"
    policies = platform.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")
    if len(policies) < 2 * len(targets):
        yield "a scalable target has fewer than two policies"
    for node in policies:
        tracking = platform.property(node, "TargetTrackingScalingPolicyConfiguration") or {}
        for name in ("TargetValue", "ScaleInCooldown", "ScaleOutCooldown"):
            if not tracking.get(name):
                yield f"{name_of(node)}: no {name}"


RULES: tuple[Rule, ...] = (
    encrypted_with_our_key,
    tls_only,
    buckets_are_private,
    isolated,
    least_privilege,
    functions_are_complete,
    nothing_is_lost_on_the_way,
    logs_end,
    releases_are_watched,
    scaling_has_bounds,
)


def jobs(platform: Platform) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Job steps of the pipeline's definition, with the `InstanceTypes` that a run may choose, and what their containers
    are given."""
    for node in platform.of_type("AWS::SageMaker::Pipeline"):
        definition = json.loads(
            platform.text(node, platform.property(node, "PipelineDefinition.PipelineDefinitionBody"))
        )
        for step in _steps(definition["Steps"]):
            if step["Type"] in _JOB_KEYS:
                arguments = step["Arguments"].get("TrainingJobDefinition", step["Arguments"])
                kind = at(arguments, "ResourceConfig.InstanceType.Get") or at(
                    arguments, "ProcessingResources.ClusterConfig.InstanceType.Get"
                )
                types = next(p["EnumValues"] for p in definition["Parameters"] if kind == f"Parameters.{p['Name']}")
                yield {**step, "InstanceTypes": types}, arguments


_JOB_KEYS = {
    "Processing": ("ProcessingResources.ClusterConfig.VolumeKmsKeyId", "ProcessingOutputConfig.KmsKeyId"),
    "Training": ("ResourceConfig.VolumeKmsKeyId", "OutputDataConfig.KmsKeyId"),
    "Tuning": ("ResourceConfig.VolumeKmsKeyId", "OutputDataConfig.KmsKeyId"),
}


def _steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from _steps([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])


def _is_our_key(platform: Platform, node: Node, value: Any) -> bool:
    return [platform.type(key) for key in platform.mentioned(node, value)] == ["AWS::KMS::Key"]


def _is_s3_managed(platform: Platform, node: Node) -> bool:
    return "AES256" in platform.text(node, platform.property(node, "BucketEncryption"))


def _denies_plain(statement: dict[str, Any], action: str) -> bool:
    return (
        statement["Effect"] == "Deny"
        and at(statement, "Condition.Bool.aws:SecureTransport") == "false"
        and action in listed(statement["Action"])
        and statement["Principal"] in ("*", {"AWS": "*"})
    )


def _called_by_events(platform: Platform, function: Node) -> bool:
    callers = (("AWS::Events::Rule", "Targets.Arn"), ("AWS::Scheduler::Schedule", "Target.Arn"))
    return any(
        function in platform.mentioned(node, platform.property(node, path))
        for kind, path in callers
        for node in platform.of_type(kind)
    )
