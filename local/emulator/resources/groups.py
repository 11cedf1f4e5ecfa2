"""AWS::SageMaker::ModelPackageGroup: the versions of a model."""

from local.emulator.resources.backed import BackedType
from local.emulator.resources.base import Resource, Result


class ModelPackageGroup(BackedType):
    """A group; deleting one that holds packages fails, as on AWS: they must be deleted first."""

    name = "AWS::SageMaker::ModelPackageGroup"
    replacing = ("ModelPackageGroupName", "ModelPackageGroupDescription")

    def create(self, wanted: Resource) -> Result:
        """Ref is the ARN."""
        return _named(self._call("CreateModelPackageGroup", wanted.properties)["ModelPackageGroupArn"])

    def update(self, wanted: Resource) -> Result:
        """Tags alone have changed."""
        self._tag(wanted)
        return _named(wanted.physical_id)

    def delete(self, existing: Resource) -> None:
        """Delete it by the name in its ARN."""
        self._delete("DeleteModelPackageGroup", {"ModelPackageGroupName": existing.physical_id.split("/")[-1]})


def _named(arn: str) -> Result:
    return arn, {"ModelPackageGroupArn": arn, "ModelPackageGroupStatus": "Completed"}
