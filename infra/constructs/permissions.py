"""Statements of a role, where a wildcard is not written without its reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra import secure
from infra.arns import arn
from infra.network import Network


def allow(
    role: iam.Role,
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    why_wildcard: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> None:
    """Let the role do `actions` on `resources`.

    `why_wildcard` is the reason for a * in one of the resources, which cdk-nag wants acknowledged one by one.
    ValueError where the two do not go together, or an action has a wildcard.
    """
    wild = [resource for resource in resources if "*" in resource]
    if any("*" in action for action in actions):
        raise ValueError(f"statement {sid} has the actions {list(actions)}; write each one out")
    if bool(wild) != bool(why_wildcard):
        raise ValueError(f"statement {sid}: why_wildcard goes with a * in the resources, which are {list(resources)}")
    role.add_to_policy(
        iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources), conditions=conditions)
    )
    for resource in wild:
        secure.acknowledge(role, f"AwsSolutions-IAM5[Resource::{_finding(role, resource)}]", f"{sid}: {why_wildcard}")


def allow_interfaces(role: iam.Role, network: Network) -> None:
    """Let SageMaker, with this role, put instances into the subnets of the network; nothing where there are none."""
    if not network.used:
        return
    places = [arn("ec2", f"subnet/{subnet}") for subnet in network.subnet_ids]
    places += [arn("ec2", f"security-group/{group}") for group in network.security_group_ids]
    allow(role, "PlaceInterfaces", ["ec2:CreateNetworkInterface"], places)
    allow(
        role,
        "Interfaces",
        [
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
        ],
        [arn("ec2", "network-interface/*")],
        why_wildcard="SageMaker makes the interfaces when instances start.",
    )
    nouns = ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
    describe = [f"ec2:Describe{noun}" for noun in nouns]
    allow(role, "DescribeNetwork", describe, ["*"], why_wildcard="EC2 describes no single resource.")


def _finding(role: iam.Role, resource: str) -> str:
    """The resource as cdk-nag writes it: arn:<AWS::Partition>:s3:::..."""
    value = Stack.of(role).resolve(resource)
    parts = value["Fn::Join"][1] if isinstance(value, dict) else [value]
    return "".join(part if isinstance(part, str) else f"<{part['Ref']}>" for part in parts)
