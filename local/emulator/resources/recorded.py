"""Types that ministack has nothing to keep in: the stack's own record is all there is of them."""

from local.emulator.resources.base import Resource, ResourceType, Result


class RecordedType(ResourceType):
    """Created again on a change, under the same physical id; nothing is left to delete."""

    def update(self, wanted: Resource) -> Result:
        """Check the new properties as the first ones were."""
        return self.create(wanted)

    def delete(self, existing: Resource) -> None:
        """Nothing is kept outside of the stack."""
        del existing
