"""A SageMaker of dictionaries, for tests of what calls it: names are unique, endpoints take a moment, a model package
whose name has `broken` in it never comes into service."""

import threading
import time
from collections.abc import Callable
from typing import Any

from local.sagemaker.errors import ApiError, in_use, invalid

ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
_SECONDS = 0.3

Record = dict[str, Any]


class FakeSageMaker:
    """Answers what the resource types call; `emit` gets an event when an endpoint comes into service."""

    def __init__(self, emit: Callable[..., None]):
        self._emit = emit
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Record]] = {noun: {} for noun in _KEYS}

    def close(self) -> None:
        """Nothing runs."""

    def handle(self, operation: str, request: Record) -> Record:
        """Answer an operation."""
        if operation == "InvokeEndpoint":
            return self._invoke(request)
        if operation == "AddTags":
            return {"Tags": request["Tags"]}
        verb, noun = next((verb, operation[len(verb) :]) for verb in _VERBS if operation.startswith(verb))
        if noun not in _KEYS:
            raise ApiError("UnknownOperationException", f"no operation {operation}")
        key = "|".join(str(request.get(name, "")) for name in _KEYS[noun])
        with self._lock:
            match verb:
                case "Create":
                    return self._create(noun, key, request)
                case "Update":
                    return self._update(noun, key, request)
                case "Put" | "Register":
                    return self._put(noun, key, request)
                case "Describe":
                    return self._existing(noun, key)
                case _:
                    return self._remove(noun, key)

    def _create(self, noun: str, key: str, request: Record) -> Record:
        things = self._kept[noun]
        if key in things:
            raise in_use(f"{noun} {key} exists already")
        things[key] = dict(request)
        if noun == "Endpoint":
            things[key] |= {"EndpointStatus": "Creating", "Running": None}
            self._switch(key, request["EndpointConfigName"])
        return {f"{noun}Arn": f"{ARN}:{noun.lower()}/{key}"}

    def _update(self, noun: str, key: str, request: Record) -> Record:
        if noun == "Endpoint":
            self._existing(noun, key)["EndpointStatus"] = "Updating"
            self._switch(key, request["EndpointConfigName"])
        else:
            self._existing(noun, key).update(request)
        return {f"{noun}Arn": f"{ARN}:{noun.lower()}/{key}"}

    def _put(self, noun: str, key: str, request: Record) -> Record:
        self._kept[noun][key] = dict(request)
        return {"PolicyARN": f"{ARN}:policy/{key}"} if noun == "ScalingPolicy" else {"ScalableTargetARN": key}

    def _existing(self, noun: str, key: str) -> Record:
        if key not in self._kept[noun]:
            raise invalid(f"Could not find {noun} {key!r}.")
        return self._kept[noun][key]

    def _remove(self, noun: str, key: str) -> Record:
        self._existing(noun, key)
        del self._kept[noun][key]
        return {}

    def _switch(self, name: str, config: str) -> None:
        def work() -> None:
            time.sleep(_SECONDS)
            with self._lock:
                endpoint = self._kept["Endpoint"].get(name)
                if endpoint is None:
                    return
                if "broken" in self._package(config):
                    failed = endpoint["Running"] is None
                    endpoint |= {
                        "EndpointStatus": "Failed" if failed else "InService",
                        "EndpointConfigName": config if failed else endpoint["Running"],
                        "FailureReason": "the server did not answer /ping",
                    }
                    return
                endpoint |= {"EndpointStatus": "InService", "EndpointConfigName": config, "Running": config}
                endpoint.pop("FailureReason", None)
            detail = {"EndpointName": name, "EndpointStatus": "IN_SERVICE"}
            self._emit("aws.sagemaker", "SageMaker Endpoint State Change", detail, [f"{ARN}:endpoint/{name}"])

        threading.Thread(target=work, daemon=True).start()

    def _package(self, config: str) -> str:
        variant = self._kept["EndpointConfig"][config]["ProductionVariants"][0]
        return str(self._kept["Model"][variant["ModelName"]]["Containers"][0]["ModelPackageName"])

    def _invoke(self, request: Record) -> Record:
        with self._lock:
            endpoint = self._kept["Endpoint"].get(request["EndpointName"])
            if endpoint is None or endpoint["EndpointStatus"] != "InService":
                raise invalid(f"Endpoint {request['EndpointName']} not found.")
            answer = self._package(endpoint["EndpointConfigName"]).encode() + b" got " + request["Body"]
        return {"Body": answer, "ContentType": "text/plain", "InvokedProductionVariant": "AllTraffic"}


_VERBS = ("Create", "Describe", "Update", "Deregister", "Register", "Delete", "Put")
_KEYS = {
    "Model": ["ModelName"],
    "EndpointConfig": ["EndpointConfigName"],
    "Endpoint": ["EndpointName"],
    "ModelPackageGroup": ["ModelPackageGroupName"],
    "Pipeline": ["PipelineName"],
    "ScalableTarget": ["ResourceId", "ScalableDimension", "ServiceNamespace"],
    "ScalingPolicy": ["PolicyName", "ResourceId", "ScalableDimension", "ServiceNamespace"],
}
