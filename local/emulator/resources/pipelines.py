"""AWS::SageMaker::Pipeline: the definition that CloudFormation resolved is the definition that runs."""

import uuid

from local.emulator.resources.backed import BackedType
from local.emulator.resources.base import Properties, Resource, Result

_PLACE = {"Bucket": "Bucket", "Key": "ObjectKey", "Version": "VersionId"}  # CloudFormation's name: the API's


class Pipeline(BackedType):
    """A pipeline. CloudFormation wraps the definition in an object, the API takes it as text or as a place in S3."""

    name = "AWS::SageMaker::Pipeline"
    replacing = ("PipelineName",)

    def create(self, wanted: Resource) -> Result:
        """Ref is the name."""
        self._call("CreatePipeline", {**_request(wanted.properties), "ClientRequestToken": uuid.uuid4().hex})
        return wanted.properties["PipelineName"], {}

    def update(self, wanted: Resource) -> Result:
        """The new definition is that of the next execution; those that run keep theirs."""
        request = _request(wanted.properties)
        request.pop("Tags", None)
        self._call("UpdatePipeline", request)
        return wanted.physical_id, {}

    def delete(self, existing: Resource) -> None:
        """Delete it; what its executions made stays."""
        request = {"PipelineName": existing.physical_id, "ClientRequestToken": uuid.uuid4().hex}
        self._delete("DeletePipeline", request)


def _request(properties: Properties) -> Properties:
    rest = {key: value for key, value in properties.items() if key != "PipelineDefinition"}
    definition = properties["PipelineDefinition"]
    match list(definition):
        case ["PipelineDefinitionBody"]:
            return {**rest, "PipelineDefinition": definition["PipelineDefinitionBody"]}
        case ["PipelineDefinitionS3Location"]:
            place = definition["PipelineDefinitionS3Location"]
            named = {_PLACE.get(key, key): value for key, value in place.items()}
            return {**rest, "PipelineDefinitionS3Location": named}
    raise ValueError(
        f"{Pipeline.name}: PipelineDefinition has {', '.join(definition) or 'nothing'}; it must have either "
        "PipelineDefinitionBody or PipelineDefinitionS3Location"
    )
