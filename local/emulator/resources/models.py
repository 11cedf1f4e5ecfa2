"""AWS::SageMaker::Model and AWS::SageMaker::EndpointConfig: created and deleted, never changed in place."""

from typing import ClassVar

from local.emulator.gateway import Backend
from local.emulator.resources.backed import BackedType
from local.emulator.resources.base import Resource, Result, members


class _Immutable(BackedType):
    """SageMaker has no update for these: every change but one of tags is a replacement."""

    noun: ClassVar[str]

    def __init__(self, backend: Backend):
        super().__init__(backend)
        self.replacing = members("sagemaker", f"Create{self.noun}")

    def create(self, wanted: Resource) -> Result:
        """Ref is the ARN, the name is an attribute."""
        key = f"{self.noun}Name"
        name = wanted.properties.get(key) or wanted.generated_name()
        answer = self._call(f"Create{self.noun}", {**wanted.properties, key: name})
        return answer[f"{self.noun}Arn"], {key: name}

    def update(self, wanted: Resource) -> Result:
        """Tags alone have changed."""
        self._tag(wanted)
        return wanted.physical_id, {f"{self.noun}Name": wanted.physical_id.split("/")[-1]}

    def delete(self, existing: Resource) -> None:
        """Delete it by the name in its ARN."""
        self._delete(f"Delete{self.noun}", {f"{self.noun}Name": existing.physical_id.split("/")[-1]})


class Model(_Immutable):
    """A model: containers, or a model package."""

    name = "AWS::SageMaker::Model"
    noun = "Model"


class EndpointConfig(_Immutable):
    """What an endpoint runs, on which instances."""

    name = "AWS::SageMaker::EndpointConfig"
    noun = "EndpointConfig"
