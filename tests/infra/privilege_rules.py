"""What roles may not be allowed, and the written reason of every wildcard."""

import re
from collections.abc import Iterator
from typing import Any

from infra.references import Node, Platform
from tests.infra.templates import at, listed, name_of

# Actions that know no resource, each with its reason. Anything else needs one.
NO_RESOURCE = {
    "cloudwatch:PutMetricData": "metrics have no ARN; a condition names the namespaces",
    "ec2:DescribeDhcpOptions": "EC2 describes without resources",
    "ec2:DescribeNetworkInterfaces": "EC2 describes without resources",
    "ec2:DescribeSecurityGroups": "EC2 describes without resources",
    "ec2:DescribeSubnets": "EC2 describes without resources",
    "ec2:DescribeVpcs": "EC2 describes without resources",
    "ecr:GetAuthorizationToken": "the sign-in is to the registry, not to a repository",
    "sagemaker:ListEndpoints": "a list has no resource",
    "xray:PutTelemetryRecords": "traces have no ARN",
    "xray:PutTraceSegments": "traces have no ARN",
    "xray:GetSamplingRules": "rules are the account's",
    "xray:GetSamplingTargets": "rules are the account's",
}

# Where a resource may end in *, each with its reason. {base} is the environment's name, as in tally-prod.
PARTIAL = {
    r"arn:<>:s3:::{base}-artifacts-[^/]+/(executions|capture)/\*": "each run and each hour has a folder of its own",
    r"arn:<>:s3:::{base}-raw-[^/]+/\*": "a run may train on any prefix",
    r"arn:<>:s3:::{base}-raw-[^/]+/photos/\*": "a caller may name any photo there",
    r"arn:<>:sagemaker:<>:<>:(processing|training|hyper-parameter-tuning)-job/\*": "SageMaker names a pipeline's jobs",
    r"arn:<>:sagemaker:<>:<>:(endpoint-config|model)/\*": "CloudFormation names both anew at each release",
    r"arn:<>:sagemaker:<>:<>:model-package/{base}/\*": "versions of the environment's own group",
    r"arn:<>:sagemaker:<>:<>:pipeline/{base}/execution/\*": "each run has an id",
    r"arn:<>:cloudformation:<>:<>:stack/{base}-serving/\*": "the id of the one stack of that name",
    r"arn:<>:logs:<>:<>:log-group:/aws/sagemaker/(Processing|Training)Jobs:\*": "each job has a stream",
    r"arn:<>:ec2:<>:<>:network-interface/\*": "named when it is made; the subnets are ours",
}

ACCOUNT_LOGGING = "AccountLogging"  # the account's own role for API Gateway; its construct gives the reason


def least_privilege(platform: Platform) -> Iterator[str]:
    """Roles: actions written out, resources named, no managed policies; open to services only."""
    for node in platform.of_type("AWS::IAM::Role"):
        if managed := platform.property(node, "ManagedPolicyArns"):
            yield f"{name_of(node)}: managed policies {platform.text(node, managed)}"
        for statement in platform.property(node, "AssumeRolePolicyDocument.Statement"):
            if set(statement["Principal"]) != {"Service"}:
                yield f"{name_of(node)}: assumed by {statement['Principal']}"
    for node, statement in _statements(platform):
        if statement["Effect"] == "Deny" or ACCOUNT_LOGGING in node.id:
            continue
        if {"NotAction", "NotResource"} & set(statement):
            yield f"{name_of(node)}: a statement by exclusion"
        actions = listed(statement.get("Action"))
        yield from (f"{name_of(node)}: action {action}" for action in actions if "*" in action)
        for resource in (platform.text(node, item) for item in listed(statement.get("Resource"))):
            if resource == "*":
                yield from _unbound(node, statement, actions)
            elif "*" in resource and not any(re.fullmatch(_here(rule, platform), resource) for rule in PARTIAL):
                yield f"{name_of(node)}: {actions} on {resource}"


def _statements(platform: Platform) -> Iterator[tuple[Node, dict[str, Any]]]:
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for node in platform.of_type(kind):
            for statement in platform.property(node, "PolicyDocument.Statement"):
                yield node, statement
    for node in platform.of_type("AWS::IAM::Role"):
        for policy in platform.property(node, "Policies") or []:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield node, statement


def _unbound(node: Node, statement: dict[str, Any], actions: list[str]) -> Iterator[str]:
    for action in actions:
        if action not in NO_RESOURCE:
            yield f"{name_of(node)}: {action} on every resource"
        elif action == "cloudwatch:PutMetricData" and not at(statement, "Condition.StringEquals.cloudwatch:namespace"):
            yield f"{name_of(node)}: {action} into every namespace"


def _here(rule: str, platform: Platform) -> str:
    (pipeline,) = platform.of_type("AWS::SageMaker::Pipeline")
    return rule.replace("{base}", re.escape(platform.property(pipeline, "PipelineName")))
