"""AWS::WAFv2::WebACLAssociation and LoggingConfiguration: recorded, no request is ever blocked by them."""

from ministack.services import waf

from local.emulator.resources.base import Resource, ResourceType, Result, request_of
from local.emulator.resources.recorded import RecordedType
from local.emulator.resources.replies import accepted


class WebAclAssociation(ResourceType):
    """Which API a web ACL guards; the ACL must exist."""

    name = "AWS::WAFv2::WebACLAssociation"
    replacing = ("ResourceArn",)

    def create(self, wanted: Resource) -> Result:
        """Ref is `web ACL|resource`."""
        request = request_of("wafv2", "AssociateWebACL", wanted.properties, type_name=self.name)
        accepted(waf._associate_web_acl(request), self.name)
        return "{WebACLArn}|{ResourceArn}".format_map(wanted.properties), {}

    def update(self, wanted: Resource) -> Result:
        """Another web ACL takes the place of the first: AWS replaces the association too."""
        return self.create(wanted)

    def delete(self, existing: Resource) -> None:
        """Take the guard off, unless another web ACL has taken over."""
        acl, resource = existing.physical_id.split("|")
        if waf._associations.get(resource) == acl:
            waf._disassociate_web_acl({"ResourceArn": resource})


class WebAclLogging(RecordedType):
    """Where a web ACL logs to; Ref is the web ACL's ARN."""

    name = "AWS::WAFv2::LoggingConfiguration"
    replacing = ("ResourceArn",)

    def create(self, wanted: Resource) -> Result:
        """Check it; the stack's own record is all that is kept."""
        request = {"LoggingConfiguration": wanted.properties}
        request_of("wafv2", "PutLoggingConfiguration", request, type_name=self.name)
        return wanted.properties["ResourceArn"], {}
