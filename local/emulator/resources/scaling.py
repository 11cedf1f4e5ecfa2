"""AWS::ApplicationAutoScaling::ScalableTarget and ScalingPolicy: recorded and readable, nothing is scaled by them."""

from local.emulator.resources.backed import BackedType
from local.emulator.resources.base import Properties, Resource, Result

_PLACE = ("ResourceId", "ScalableDimension", "ServiceNamespace")


class ScalableTarget(BackedType):
    """What may be scaled, between which limits."""

    name = "AWS::ApplicationAutoScaling::ScalableTarget"
    service = "application-autoscaling"
    replacing = _PLACE

    def create(self, wanted: Resource) -> Result:
        """Ref is `resource|dimension|namespace`."""
        tags = {tag["Key"]: tag["Value"] for tag in wanted.properties.get("Tags", [])}  # the API takes a map
        self._call("RegisterScalableTarget", {**wanted.properties, "Tags": tags})
        identity = "|".join(wanted.properties[key] for key in _PLACE)
        return identity, {"Id": identity}

    def update(self, wanted: Resource) -> Result:
        """Register it again with other limits."""
        return self.create(wanted)

    def delete(self, existing: Resource) -> None:
        """Deregister it."""
        self._delete("DeregisterScalableTarget", _place(existing.physical_id))


class ScalingPolicy(BackedType):
    """By which metric a target is scaled."""

    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    service = "application-autoscaling"
    replacing = ("PolicyName", "ScalingTargetId", *_PLACE)

    def create(self, wanted: Resource) -> Result:
        """Ref is the ARN."""
        arn = self._call("PutScalingPolicy", _with_place(wanted.properties))["PolicyARN"]
        return arn, {"Arn": arn}

    def update(self, wanted: Resource) -> Result:
        """Put it again."""
        return self.create(wanted)

    def delete(self, existing: Resource) -> None:
        """Delete it."""
        request = _with_place(existing.properties)
        self._delete("DeleteScalingPolicy", {key: request[key] for key in ("PolicyName", *_PLACE)})


def _place(identity: str) -> Properties:
    return dict(zip(_PLACE, identity.split("|"), strict=True))


def _with_place(policy: Properties) -> Properties:
    given = dict(policy)
    target = given.pop("ScalingTargetId", None)
    return {**given, **_place(target)} if target else given
