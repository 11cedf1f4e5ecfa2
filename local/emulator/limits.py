"""What a rehearsal on the emulator proves, by resource type, and what only AWS can show.

The table in the docs is made of this, and a test holds it against the types of the deployed stacks: a type that nobody
has thought about here fails it.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """Types of one subject. `types` are CloudFormation's, without `AWS::`."""

    subject: str
    types: tuple[str, ...]
    proven: str
    unproven: str


LIMITS = (
    Limit(
        "Stacks",
        ("CDK::Metadata",),
        "the real CDK CLI: change sets, order, references, conditions, exports, rollback, replacement, deletion, "
        "status events with the request token",
        "CloudFormation's own checks of properties beyond those of cfn-lint and of the APIs; stack tags on SageMaker's "
        "resources; the order of deletions in time",
    ),
    Limit(
        "Permissions",
        ("IAM::Role", "IAM::Policy", "Lambda::Permission", "S3::BucketPolicy", "SQS::QueuePolicy", "SNS::TopicPolicy"),
        "that roles and policies are accepted and refer to what exists",
        "every permission: nothing is refused here. Tests of the templates look for what is too wide; what is too "
        "narrow shows on AWS",
    ),
    Limit(
        "Encryption",
        ("KMS::Key", "KMS::Alias"),
        "that keys exist and are referred to",
        "encryption itself and the key policy: nothing is encrypted, no use of a key is refused",
    ),
    Limit(
        "Storage",
        ("S3::Bucket",),
        "objects, versions, and the event of an upload",
        "lifecycle rules, access logs, public access blocks, encryption, TLS",
    ),
    Limit(
        "Functions",
        ("Lambda::Function", "Lambda::EventSourceMapping", "Logs::LogGroup"),
        "the deployed code with its environment and time limit, asynchronous retries with the failure destination, "
        "batches of a queue with partial failures, requests to the internet (to sites of this machine's, over TLS)",
        "the Lambda runtime (functions run on this machine's Python), memory limits, concurrency limits, cold start "
        "times, retention and encryption of logs, tracing",
    ),
    Limit(
        "Events",
        ("Events::Rule", "Scheduler::Schedule", "SQS::Queue", "SNS::Topic"),
        "patterns, input transformers, delivery to functions, queues and topics, redrive to the dead letter queue, "
        "schedules",
        "retry policies and dead letter queues of rules and schedules, delivery of e-mail, encryption",
    ),
    Limit(
        "API",
        (
            "ApiGateway::Account",
            "ApiGateway::ApiKey",
            "ApiGateway::Deployment",
            "ApiGateway::DomainName",
            "ApiGateway::BasePathMapping",
            "ApiGateway::GatewayResponse",
            "ApiGateway::Method",
            "ApiGateway::Model",
            "ApiGateway::RequestValidator",
            "ApiGateway::Resource",
            "ApiGateway::RestApi",
            "ApiGateway::Stage",
            "ApiGateway::UsagePlan",
            "ApiGateway::UsagePlanKey",
        ),
        "keys, usage plans with their limits, models of bodies by content type, binary bodies, the sizes that API "
        "Gateway and Lambda take, the function's answer, API Gateway's own answers in the API's words",
        "IAM authorization, TLS, custom domains, access logs, the limits of API Gateway itself",
    ),
    Limit(
        "Firewall",
        ("WAFv2::WebACL", "WAFv2::WebACLAssociation", "WAFv2::LoggingConfiguration"),
        "that the web ACL exists and is attached to the stage",
        "its rules: no request is blocked or counted",
    ),
    Limit(
        "Training",
        ("SageMaker::Pipeline", "SageMaker::ModelPackageGroup"),
        "the deployed definition, run by real jobs as processes, callbacks, retries, caching, the model registry and "
        "its events",
        "instance types, quotas, capacity, GPUs, spot interruptions, VPCs, encryption, the container images (the code "
        "runs on this machine's Python), the longest text that JsonGet hands on, SageMaker's own timing and errors",
    ),
    Limit(
        "Serving",
        ("SageMaker::Model", "SageMaker::EndpointConfig", "SageMaker::Endpoint"),
        "the real model server behind InvokeEndpoint, exchanged without a missed request, the old one kept when the "
        "new one does not start",
        "canary traffic, baking time and rollback by alarms, data capture, several instances, load",
    ),
    Limit(
        "Scaling",
        ("ApplicationAutoScaling::ScalableTarget", "ApplicationAutoScaling::ScalingPolicy"),
        "that targets and policies are accepted by the API",
        "scaling: nothing is scaled",
    ),
    Limit(
        "Watching",
        ("CloudWatch::Alarm", "CloudWatch::CompositeAlarm", "CloudWatch::Dashboard", "Budgets::Budget"),
        "that alarms, the dashboard and the budget are accepted; a composite alarm names alarms that exist",
        "metrics, so no alarm ever rings; costs",
    ),
    Limit(
        "Network",
        (
            "EC2::VPC",
            "EC2::Subnet",
            "EC2::RouteTable",
            "EC2::SubnetRouteTableAssociation",
            "EC2::SecurityGroup",
            "EC2::SecurityGroupIngress",
            "EC2::SecurityGroupEgress",
            "EC2::VPCEndpoint",
            "EC2::FlowLog",
        ),
        "that the network's parts are accepted and refer to each other",
        "traffic: jobs run in this machine's network",
    ),
)


def unexplained(types: Iterable[str]) -> list[str]:
    """The types (as `AWS::S3::Bucket`) that no subject is about."""
    known = {f"AWS::{name}" for limit in LIMITS for name in limit.types}
    return sorted(set(types) - known)


def table() -> str:
    """The subjects as a Markdown table."""
    rows = [f"| {limit.subject} | {limit.proven} | {limit.unproven} |" for limit in LIMITS]
    return "\n".join(["| subject | the rehearsal proves | only AWS can show |", "|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
