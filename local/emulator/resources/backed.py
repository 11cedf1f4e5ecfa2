"""Types whose resources live in the emulated SageMaker (and Application Auto Scaling)."""

from typing import ClassVar

from local.emulator.gateway import Backend
from local.emulator.resources.base import Properties, Resource, ResourceType, request_of
from local.sagemaker.errors import ApiError

_MISSING_CODES = ("ResourceNotFound", "ObjectNotFoundException")
_MISSING_TEXTS = ("could not find", "does not exist", "not found", "no scalable target", "no scaling policy")


class BackedType(ResourceType):
    """Calls the backend, whose operations may themselves call ministack over HTTP: never on the event loop."""

    blocking: ClassVar[bool] = True
    service: ClassVar[str] = "sagemaker"

    def __init__(self, backend: Backend):
        self._backend = backend

    def _call(self, operation: str, values: Properties) -> Properties:
        """Answer of an operation; ValueError with what AWS says when it refuses."""
        try:
            return self._handle(operation, values)
        except ApiError as error:
            raise ValueError(f"{error.message} (Service: {self.service}, Error Code: {error.code})") from error

    def _delete(self, operation: str, values: Properties) -> None:
        """Delete; a resource that somebody deleted already is as wanted."""
        try:
            self._handle(operation, values)
        except ApiError as error:
            if not is_missing(error):
                raise ValueError(f"{error.message} (Service: {self.service}, Error Code: {error.code})") from error

    def _tag(self, wanted: Resource) -> None:
        """Give it its tags anew."""
        self._call("AddTags", {"ResourceArn": wanted.physical_id, "Tags": wanted.properties.get("Tags", [])})

    def _handle(self, operation: str, values: Properties) -> Properties:
        return self._backend.handle(operation, request_of(self.service, operation, values, type_name=self.name))


def is_missing(error: ApiError) -> bool:
    """Whether AWS says by it that there is no such resource; SageMaker has no code of its own for that."""
    return error.code in _MISSING_CODES or any(text in error.message.lower() for text in _MISSING_TEXTS)
