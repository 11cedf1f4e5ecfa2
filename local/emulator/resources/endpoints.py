"""AWS::SageMaker::Endpoint: the stack waits until it serves, and rolls back when it does not."""

import time

from local.emulator.resources.backed import BackedType, is_missing
from local.emulator.resources.base import Properties, Resource, Result
from local.sagemaker.errors import ApiError

_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 600.0
_CREATED_WITH = ("EndpointName", "EndpointConfigName", "DeploymentConfig", "Tags")
_UPDATED_WITH = (
    "EndpointConfigName",
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "DeploymentConfig",
    "RetainDeploymentConfig",
)


class Endpoint(BackedType):
    """An endpoint. ValueError with SageMaker's FailureReason when it does not come up or keeps its old config."""

    name = "AWS::SageMaker::Endpoint"
    replacing = ("EndpointName",)

    def create(self, wanted: Resource) -> Result:
        """Create and wait until it is in service; one that fails is deleted, as CloudFormation does."""
        _refuse_unknown(wanted.properties)
        name = wanted.properties.get("EndpointName") or wanted.generated_name()
        given = {key: wanted.properties[key] for key in _CREATED_WITH if key in wanted.properties}
        arn = self._call("CreateEndpoint", {**given, "EndpointName": name})["EndpointArn"]
        try:
            self._wait(name, wanted.properties["EndpointConfigName"])
        except ValueError:
            self._delete_and_wait(name)
            raise
        return arn, {"EndpointName": name}

    def update(self, wanted: Resource) -> Result:
        """Switch to another config and wait; SageMaker itself keeps the old one when the new one fails."""
        _refuse_unknown(wanted.properties)
        name = wanted.physical_id.split("/")[-1]
        config = wanted.properties["EndpointConfigName"]
        if self._call("DescribeEndpoint", {"EndpointName": name})["EndpointConfigName"] != config:
            given = {key: wanted.properties[key] for key in _UPDATED_WITH if key in wanted.properties}
            self._call("UpdateEndpoint", {**given, "EndpointName": name})
            self._wait(name, config)
        return wanted.physical_id, {"EndpointName": name}

    def delete(self, existing: Resource) -> None:
        """Delete it and wait until it is gone, so that its name is free again."""
        self._delete_and_wait(existing.physical_id.split("/")[-1])

    def _delete_and_wait(self, name: str) -> None:
        self._delete("DeleteEndpoint", {"EndpointName": name})
        deadline = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < deadline:
            try:
                self._handle("DescribeEndpoint", {"EndpointName": name})
            except ApiError as error:
                if is_missing(error):
                    return
                raise
            time.sleep(_POLL_SECONDS)
        raise ValueError(f"the endpoint {name} is still there {_LONGEST_SECONDS:.0f} s after it was deleted")

    def _wait(self, name: str, config: str) -> None:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < deadline:
            endpoint = self._call("DescribeEndpoint", {"EndpointName": name})
            status = endpoint["EndpointStatus"]
            if status == "InService" and endpoint["EndpointConfigName"] == config:
                return
            if status not in _BUSY:
                reason = endpoint.get("FailureReason") or "SageMaker gives no reason"
                raise ValueError(f"the endpoint {name} is {status} and does not run {config}: {reason}")
            time.sleep(_POLL_SECONDS)
        raise ValueError(f"the endpoint {name} did not come into service within {_LONGEST_SECONDS:.0f} s")


def _refuse_unknown(properties: Properties) -> None:
    unknown = sorted(set(properties) - {*_CREATED_WITH, *_UPDATED_WITH})
    if unknown:
        raise ValueError(f"{Endpoint.name}: the emulator does not know {', '.join(unknown)}")
