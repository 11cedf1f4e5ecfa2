"""A picture of the platform, read from the synthesized templates of one environment.

    python -m infra.picture --env prod        prints Mermaid, as in docs/stacks.md

A box is a stack, a node a resource that a person knows by name. An arrow is what the templates say: who may do what
with whom (IAM policies), what starts what (event rules, queues, integrations), what is made of what. Nothing is drawn
by hand, so what is missing here is missing there.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.names import STACKS
from infra.references import Node, Platform
from infra.settings import Settings, SettingsError, read_settings

SHOWN = {
    "AWS::S3::Bucket": "bucket",
    "AWS::KMS::Key": "key",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
    "AWS::Lambda::Function": "function",
    "AWS::Events::Rule": "event rule",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::SageMaker::Pipeline": "pipeline",
    "AWS::SageMaker::ModelPackageGroup": "model packages",
    "AWS::SageMaker::Model": "model",
    "AWS::SageMaker::EndpointConfig": "endpoint configuration",
    "AWS::SageMaker::Endpoint": "endpoint",
    "AWS::ApplicationAutoScaling::ScalableTarget": "scaling",
    "AWS::ApiGateway::RestApi": "REST API",
    "AWS::WAFv2::WebACL": "firewall",
    "AWS::EC2::VPC": "network",
    "AWS::CloudWatch::Alarm": "alarms",
    "AWS::CloudWatch::CompositeAlarm": "alarms",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::Budgets::Budget": "budget",
}
"""Types that are drawn, and what they are called. Alarms of one stack are one node."""

VERBS = {
    "s3:GetObject": "reads",
    "s3:PutObject": "writes",
    "sagemaker:InvokeEndpoint": "asks",
    "sagemaker:DescribeEndpoint": "looks at",
    "sagemaker:StartPipelineExecution": "starts",
    "sagemaker:CreateModelPackage": "registers",
    "sagemaker:UpdateModelPackage": "approves, rejects",
    "sagemaker:SendPipelineExecutionStepSuccess": "answers",
    "lambda:InvokeFunction": "calls",
    "sqs:SendMessage": "sends to",
    "sns:Publish": "notifies",
    "cloudformation:UpdateStack": "updates",
}
"""Allowed actions that are drawn."""

# Properties, or parts of them, that refer to another resource; what the arrow says; whether it comes from there.
_REFERENCES = (
    ("AWS::Events::Rule", "EventPattern", "event", True),
    ("AWS::Events::Rule", "Targets.Arn", "", False),
    ("AWS::Scheduler::Schedule", "Target.Arn", "", False),
    ("AWS::SageMaker::EndpointConfig", "ProductionVariants", "", True),
    ("AWS::SageMaker::EndpointConfig", "DataCaptureConfig", "captures to", False),
    ("AWS::SageMaker::Endpoint", "EndpointConfigName", "", True),
    ("AWS::SageMaker::Endpoint", "DeploymentConfig", "roll back", True),
    ("AWS::ApplicationAutoScaling::ScalableTarget", "ResourceId", "scales", False),
    ("AWS::CloudWatch::Alarm", "AlarmActions", "notify", False),
    ("AWS::CloudWatch::CompositeAlarm", "AlarmActions", "notify", False),
    ("AWS::Budgets::Budget", "NotificationsWithSubscribers", "notifies", False),
)

# Resources that stand between two drawn ones: where the arrow starts, and where it ends.
_LINKS = (
    ("AWS::ApiGateway::Method", "RestApiId", "Integration", "calls"),
    ("AWS::Lambda::EventSourceMapping", "EventSourceArn", "FunctionName", "starts"),
    ("AWS::WAFv2::WebACLAssociation", "WebACLArn", "ResourceArn", "guards"),
    ("AWS::SQS::Queue", "QueueName", "RedrivePolicy", "gives up to"),
)


def mermaid(platform: Platform, settings: Settings) -> str:
    """The picture as the text of a Mermaid flowchart."""
    lines = ["flowchart LR"]
    for kind in STACKS:
        lines.append(f"  subgraph {kind}[{settings.names.stack(kind)}]")
        nodes = {_id(platform, node): _label(platform, node, settings) for node in _drawn(platform, kind)}
        lines += [f'    {id_}["{label}"]' for id_, label in nodes.items()]
        lines.append("  end")
    lines += [f"  {start} -->{f'|{label}|' if label else ''} {end}" for start, end, label in sorted(_arrows(platform))]
    return "\n".join(lines)


def _drawn(platform: Platform, kind: str) -> list[Node]:
    return [node for node in platform.resources if node.stack == kind and platform.type(node) in SHOWN]


def _arrows(platform: Platform) -> list[tuple[str, str, str]]:
    """Each pair once, with all that is said of it."""
    labels: dict[tuple[str, str], list[str]] = {}
    for start, end, label in (*_allowed(platform), *_referred(platform), *_linked(platform)):
        drawn = all(not node.id or platform.type(node) in SHOWN for node in (start, end))
        if drawn and "AWS::KMS::Key" not in (platform.type(start), platform.type(end)):  # everything uses the key
            pair = _id(platform, start), _id(platform, end)
            if pair[0] != pair[1]:
                labels.setdefault(pair, []).append(label)
    return [(start, end, ", ".join(dict.fromkeys(filter(None, said)))) for (start, end), said in labels.items()]


def _allowed(platform: Platform) -> Iterator[tuple[Node, Node, str]]:
    for grant in platform.grants():
        for action in grant.actions:
            if action in VERBS:
                for resource in grant.resources:
                    yield grant.who, resource, VERBS[action]


def _referred(platform: Platform) -> Iterator[tuple[Node, Node, str]]:
    for kind, name, label, backwards in _REFERENCES:
        for node in platform.of_type(kind):
            for other in platform.mentioned(node, platform.property(node, name)):
                yield (other, node, label) if backwards else (node, other, label)


def _linked(platform: Platform) -> Iterator[tuple[Node, Node, str]]:
    for kind, first, second, label in _LINKS:
        for node in platform.of_type(kind):
            for start in platform.mentioned(node, platform.property(node, first)) or [node]:
                for end in platform.mentioned(node, platform.property(node, second)):
                    yield start, end, label


def _id(platform: Platform, node: Node) -> str:
    return f"{node.stack}_{_short(platform, node)}" if node.id else node.stack


def _short(platform: Platform, node: Node) -> str:
    """Logical id without CDK's hash, so that a picture changes only where the platform does."""
    if SHOWN[platform.type(node)] == "alarms":
        return "Alarms"
    return re.sub(r"[0-9A-F]{8}$", "", node.id)


def _label(platform: Platform, node: Node, settings: Settings) -> str:
    kind = SHOWN[platform.type(node)]
    if kind == "alarms":
        count = sum(SHOWN[platform.type(other)] == "alarms" for other in _drawn(platform, node.stack))
        return f"{count} alarms"
    for name in ("BucketName", "TopicName", "QueueName", "FunctionName", "Description"):
        if text := platform.text(node, platform.property(node, name)).replace("-<>", ""):
            said = text.removeprefix(f"{settings.names.base}-")
            if name != "Description" or kind in ("event rule", "schedule"):
                return f"{kind}<br/>{said}"
    return kind


def picture(settings: Settings) -> str:
    """Synthesize the environment and draw it."""
    from infra.app import build, new_app  # aws_cdk takes seconds to import

    with tempfile.TemporaryDirectory() as folder:
        app = new_app(folder)
        build(app, settings)
        app.synth()
        names = {kind: settings.names.stack(kind) for kind in STACKS}
        templates = {
            kind: json.loads(Path(folder, f"{name}.template.json").read_text()) for kind, name in names.items()
        }
    return mermaid(Platform(templates, names), settings)


def main() -> None:
    """Print the picture of the environment that --env names."""
    parser = argparse.ArgumentParser(prog="python -m infra.picture", description="Mermaid picture of the stacks")
    parser.add_argument("--env", default="prod", help="environment of cdk.json (default: %(default)s)")
    name = parser.parse_args().env
    environments = json.loads(Path(__file__).resolve().parents[1].joinpath("cdk.json").read_text())["context"]
    # images by URI: the picture is the same, and no Docker is needed
    images = {"images": {"train": "tally:train", "serve": "tally:serve"}}
    try:
        settings = read_settings(environments["environments"], name, images)
    except SettingsError as error:
        parser.error(str(error))
    print(picture(settings))


if __name__ == "__main__":
    main()
