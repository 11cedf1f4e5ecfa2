"""AWS::CloudWatch::CompositeAlarm: ministack has the alarms, but no resource type for them."""

from ministack.services import cloudwatch

from local.emulator.environment import ACCOUNT, REGION
from local.emulator.resources.base import Properties, Resource, ResourceType, Result, request_of
from local.emulator.resources.replies import accepted


class CompositeAlarm(ResourceType):
    """An alarm on other alarms; its rule must name alarms that exist."""

    name = "AWS::CloudWatch::CompositeAlarm"
    replacing = ("AlarmName",)

    def create(self, wanted: Resource) -> Result:
        """Ref is the name."""
        return self._put(wanted.properties.get("AlarmName") or wanted.generated_name(255), wanted.properties)

    def update(self, wanted: Resource) -> Result:
        """Put it again under its name."""
        return self._put(wanted.physical_id, wanted.properties)

    def delete(self, existing: Resource) -> None:
        """Delete it."""
        cloudwatch._composite_alarms.pop(existing.physical_id, None)

    def _put(self, alarm: str, properties: Properties) -> Result:
        values = {**properties, "AlarmName": alarm}
        request = request_of("cloudwatch", "PutCompositeAlarm", values, type_name=self.name)
        accepted(cloudwatch._put_composite_alarm({}, request, False, is_json=True), self.name)
        return alarm, {"Arn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm}"}
