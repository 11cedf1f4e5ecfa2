"""Types of EC2 that ministack has no resource types for: rules of a security group on their own, and flow logs."""

from typing import Any, ClassVar

from ministack.services import ec2
from ministack.services.cloudformation.provisioners import _ec2_sg_permissions

from local.emulator.resources.base import Resource, ResourceType, Result
from local.emulator.resources.recorded import RecordedType


class _Rule(ResourceType):
    """A rule that is a resource, as when two groups name each other; Ref is its id, `sgr-...`."""

    rules: ClassVar[str]

    def create(self, wanted: Resource) -> Result:
        """Add it to its group."""
        group = ec2._security_groups.get(wanted.properties["GroupId"])
        if group is None:
            raise ValueError(f"{self.name}: there is no security group {wanted.properties['GroupId']}")
        group[self.rules].append(_permission(wanted))
        identity = f"sgr-{wanted.generated_name()[-13:].lower()}"
        return identity, {"Id": identity}

    def update(self, wanted: Resource) -> Result:
        """Only the description has changed."""
        return wanted.physical_id, {"Id": wanted.physical_id}

    def delete(self, existing: Resource) -> None:
        """Take it out of its group, if that is still there."""
        rules = ec2._security_groups.get(existing.properties["GroupId"], {}).get(self.rules, [])
        if (permission := _permission(existing)) in rules:
            rules.remove(permission)


class SecurityGroupIngress(_Rule):
    """What may come in."""

    name = "AWS::EC2::SecurityGroupIngress"
    rules = "IpPermissions"
    replacing = (
        "CidrIp",
        "CidrIpv6",
        "FromPort",
        "GroupId",
        "GroupName",
        "IpProtocol",
        "SourcePrefixListId",
        "SourceSecurityGroupId",
        "SourceSecurityGroupName",
        "SourceSecurityGroupOwnerId",
        "ToPort",
    )


class SecurityGroupEgress(_Rule):
    """What may go out."""

    name = "AWS::EC2::SecurityGroupEgress"
    rules = "IpPermissionsEgress"
    replacing = (
        "CidrIp",
        "CidrIpv6",
        "DestinationPrefixListId",
        "DestinationSecurityGroupId",
        "FromPort",
        "GroupId",
        "IpProtocol",
        "ToPort",
    )


class FlowLog(RecordedType):
    """A log of a network's traffic, of which there is none; Ref is the id, `fl-...`."""

    name = "AWS::EC2::FlowLog"

    def create(self, wanted: Resource) -> Result:
        """Make an id of the stack's and its name; the same on a change."""
        identity = f"fl-{wanted.generated_name()[-13:].lower()}"
        return identity, {"Id": identity}


def _permission(rule: Resource) -> dict[str, Any]:
    """The rule as ministack keeps it, without the description, which may have changed since."""
    given = {key: value for key, value in rule.properties.items() if key != "Description"}
    permission: dict[str, Any] = _ec2_sg_permissions([given])[0]
    return permission
