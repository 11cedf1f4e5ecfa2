"""AWS::EC2::FlowLog: there is no traffic to log."""

from local.emulator.resources.base import Resource, Result
from local.emulator.resources.recorded import RecordedType


class FlowLog(RecordedType):
    """A log of a network's traffic; Ref is the id, `fl-...`."""

    name = "AWS::EC2::FlowLog"

    def create(self, wanted: Resource) -> Result:
        """Make an id of the stack's and its name; the same on a change."""
        identity = f"fl-{wanted.generated_name()[-13:].lower()}"
        return identity, {"Id": identity}
