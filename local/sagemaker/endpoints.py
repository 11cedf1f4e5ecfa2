"""Endpoints: names in front of model servers, which an update exchanges without a missed request.

An update starts the new servers beside the old ones, switches once they are ready, lets the old ones finish the
requests that they have, and ends them. If the new ones do not start, the old ones stay.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.events import Event
from local.sagemaker.arns import arn
from local.sagemaker.errors import invalid
from local.sagemaker.fleet import Fleet
from local.sagemaker.hosting import Hosting, HostingError
from local.sagemaker.jobs import Listen
from local.sagemaker.listing import listed
from local.sagemaker.packages import Emit
from local.sagemaker.tags import Tags
from local.stopping import StopSignal

_REASON_LENGTH = 1024  # characters that the API keeps of a FailureReason
_UNRETAINED = {"DesiredInstanceCount": "instances", "DesiredWeight": "weight"}


@dataclass
class Endpoint:
    """One endpoint. `config_name` is the configuration in service, or the first one while it is created."""

    name: str
    config_name: str
    status: str = "Creating"
    reason: str | None = None
    created: float = field(default_factory=time.time)
    changed: float = field(default_factory=time.time)
    deployment: Mapping[str, Any] | None = None
    fleet: Fleet | None = None
    stop: StopSignal = field(default_factory=StopSignal)
    starts: int = 0

    @property
    def arn(self) -> str:
        """EndpointArn."""
        return arn("endpoint", self.name)

    def become(self, status: str, reason: str | None = None) -> None:
        """Change the status now."""
        self.reason = reason[:_REASON_LENGTH] if reason else None
        self.status, self.changed = status, time.time()

    def describe(self) -> dict[str, Any]:
        """What DescribeEndpoint answers."""
        return {
            "EndpointName": self.name,
            "EndpointArn": self.arn,
            "EndpointConfigName": self.config_name,
            "EndpointStatus": self.status,
            "FailureReason": self.reason,
            "ProductionVariants": [v.describe() for v in self.fleet.variants] if self.fleet else None,
            "LastDeploymentConfig": self.deployment,
            "CreationTime": self.created,
            "LastModifiedTime": self.changed,
        }


class Endpoints:
    """All endpoints of this process."""

    def __init__(self, hosting: Hosting, tags: Tags, emit: Emit, listen: Listen):
        self._hosting = hosting
        self._tags = tags
        self._emit = emit
        self._listen = listen
        self._lock = threading.RLock()
        self._endpoints: dict[str, Endpoint] = {}
        self._threads: list[threading.Thread] = []

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._resize,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": lambda request: listed(
                [endpoint.describe() for endpoint in list(self._endpoints.values())],
                request,
                "Endpoints",
                name="EndpointName",
                status="EndpointStatus",
            ),
            "DeleteEndpoint": self._delete,
        }

    def enter(self, name: str) -> Fleet | None:
        """The servers of an endpoint, with a request announced to them; None when none are in service.

        Under the lock that a switch takes, so that servers are never retired between the two.
        """
        with self._lock:
            endpoint = self._endpoints.get(name)
            if endpoint is None or endpoint.fleet is None or endpoint.status == "Deleting":
                return None
            endpoint.fleet.enter()
            return endpoint.fleet

    def close(self) -> None:
        """End all servers, also those that are starting."""
        for endpoint in list(self._endpoints.values()):
            endpoint.stop.set("the emulator ends")
        for thread in self._threads:
            thread.join()
        for endpoint in list(self._endpoints.values()):
            if endpoint.fleet is not None:
                endpoint.fleet.retire(endpoint.stop)
                endpoint.fleet = None

    # the API

    def _find(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise invalid(f'Could not find endpoint "{arn("endpoint", name)}".')
        return self._endpoints[name]

    def _describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        endpoint = self._find(request["EndpointName"])
        config = self._hosting.configs.known(endpoint.config_name) or {}
        capture = config.get("DataCaptureConfig")
        if capture is None:
            return endpoint.describe()
        shown = {
            "EnableCapture": capture.get("EnableCapture", False),
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
        return {**endpoint.describe(), "DataCaptureConfig": shown}

    def _create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        self._hosting.configs.find(config)
        with self._lock:
            if name in self._endpoints:
                raise invalid(f'Cannot create already existing endpoint "{arn("endpoint", name)}".')
            endpoint = Endpoint(name, config, deployment=request.get("DeploymentConfig"))
            self._endpoints[name] = endpoint
        self._tags.add(endpoint.arn, request.get("Tags", []))
        self._tell(endpoint)
        self._in_thread(endpoint, self._bring_up, endpoint)
        return {"EndpointArn": endpoint.arn}

    def _update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._hosting.configs.find(request["EndpointConfigName"])
        with self._lock:
            endpoint = self._settled(request["EndpointName"])
            endpoint.deployment = request.get("DeploymentConfig", endpoint.deployment)
            endpoint.become("Updating")
        self._tell(endpoint)
        self._in_thread(endpoint, self._exchange, endpoint, request)
        return {"EndpointArn": endpoint.arn}

    def _resize(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._settled(request["EndpointName"])
            variants = {v.name: v for v in (endpoint.fleet.variants if endpoint.fleet else [])}
            wanted = {item["VariantName"]: item for item in request["DesiredWeightsAndCapacities"]}
            for name in sorted(set(wanted) - set(variants)):
                raise invalid(f'Variant "{name}" does not exist for endpoint "{endpoint.arn}".')
            for name, item in wanted.items():
                variants[name].weight = item.get("DesiredWeight", variants[name].weight)
                variants[name].instances = item.get("DesiredInstanceCount", variants[name].instances)
            endpoint.become("InService")
        return {"EndpointArn": endpoint.arn}

    def _delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._settled(request["EndpointName"])
            endpoint.become("Deleting")
        self._tell(endpoint)
        self._in_thread(endpoint, self._bring_down, endpoint)
        return {}

    def _settled(self, name: str) -> Endpoint:
        endpoint = self._find(name)
        if endpoint.status not in ("InService", "Failed"):
            raise invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return endpoint

    # in threads

    def _in_thread(self, endpoint: Endpoint, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name=endpoint.name, daemon=True)
        with self._lock:
            self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()

    def _start(self, endpoint: Endpoint, config: str) -> Fleet:
        endpoint.starts += 1
        return self._hosting.start(config, f"{endpoint.name}-{endpoint.starts}", endpoint.stop)

    def _bring_up(self, endpoint: Endpoint) -> None:
        try:
            endpoint.fleet = self._start(endpoint, endpoint.config_name)
            endpoint.become("InService")
        except HostingError as error:
            endpoint.become("Failed", str(error))
        self._tell(endpoint)

    def _exchange(self, endpoint: Endpoint, request: Mapping[str, Any]) -> None:
        try:
            fleet = self._start(endpoint, request["EndpointConfigName"])
        except HostingError as error:
            endpoint.become("InService" if endpoint.fleet else "Failed", str(error))
            self._tell(endpoint)
            return
        old = endpoint.fleet
        if old is not None and request.get("RetainAllVariantProperties"):
            _retain(old, fleet, request.get("ExcludeRetainedVariantProperties", []))
        with self._lock:
            endpoint.fleet, endpoint.config_name = fleet, fleet.config_name
        if old is not None:
            old.retire(endpoint.stop)
        endpoint.become("InService")
        self._tell(endpoint)

    def _bring_down(self, endpoint: Endpoint) -> None:
        with self._lock:
            fleet, endpoint.fleet = endpoint.fleet, None
        if fleet is not None:
            fleet.retire(endpoint.stop)
        with self._lock:
            del self._endpoints[endpoint.name]
        self._tags.forget(endpoint.arn)

    def _tell(self, endpoint: Endpoint) -> None:
        detail = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config_name,
            "EndpointStatus": _EVENT_STATUSES[endpoint.status],
            "CreationTime": round(endpoint.created * 1000),
            "LastModifiedTime": round(endpoint.changed * 1000),
        }
        if endpoint.reason:
            detail["FailureReason"] = endpoint.reason
        self._listen(endpoint.name, Event("note", endpoint.name, f"{endpoint.status}. {endpoint.reason or ''}".strip()))
        self._emit("aws.sagemaker", "SageMaker Endpoint State Change", detail, [endpoint.arn])


_EVENT_STATUSES = {
    "Creating": "CREATING",
    "Updating": "UPDATING",
    "InService": "IN_SERVICE",
    "Failed": "FAILED",
    "Deleting": "DELETING",
}


def _retain(old: Fleet, new: Fleet, excluded: list[Mapping[str, str]]) -> None:
    """RetainAllVariantProperties: what scaling and a person set on a variant outlives an update of its model."""
    kept = [_UNRETAINED[name] for name in _UNRETAINED if name not in {e["VariantPropertyType"] for e in excluded}]
    before = {variant.name: variant for variant in old.variants}
    for variant in new.variants:
        if variant.name in before:
            for name in kept:
                setattr(variant, name, getattr(before[variant.name], name))
