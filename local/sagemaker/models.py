"""Models and endpoint configurations: requests kept under their names."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.sagemaker.arns import arn
from local.sagemaker.errors import invalid
from local.sagemaker.listing import listed
from local.sagemaker.tags import Tags


class Named:
    """Things that are created, described, listed and deleted, and never change.

    `noun` as in CreateModel; `kind` as in its ARN; `check` raises ApiError for a request that cannot be.
    """

    def __init__(self, noun: str, kind: str, tags: Tags, check: Callable[[Mapping[str, Any]], None]):
        self._noun, self._kind = noun, kind
        self._tags = tags
        self._check = check
        self._lock = threading.Lock()
        self._records: dict[str, dict[str, Any]] = {}

    def find(self, name: str) -> dict[str, Any]:
        """The record of this name; ValidationException when there is none."""
        record = self._records.get(name)
        if record is None:
            words = "endpoint configuration" if self._noun == "EndpointConfig" else self._noun.lower()
            raise invalid(f'Could not find {words} "{arn(self._kind, name)}".')
        return record

    def known(self, name: str) -> dict[str, Any] | None:
        """The record of this name, if there is one."""
        return self._records.get(name)

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        return {
            f"Create{self._noun}": self._create,
            f"Describe{self._noun}": lambda request: self.find(request[f"{self._noun}Name"]),
            f"Delete{self._noun}": self._delete,
            f"List{self._noun}s": lambda request: listed(
                self._records.values(), request, f"{self._noun}s", name=f"{self._noun}Name"
            ),
        }

    def _create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request[f"{self._noun}Name"]
        self._check(request)
        with self._lock:
            if name in self._records:
                raise invalid(f'Cannot create already existing {self._noun.lower()} "{arn(self._kind, name)}".')
            record = {**request, f"{self._noun}Arn": arn(self._kind, name), "CreationTime": time.time()}
            self._records[name] = record
        self._tags.add(record[f"{self._noun}Arn"], request.get("Tags", []))
        return record

    def _delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            record = self.find(request[f"{self._noun}Name"])
            del self._records[request[f"{self._noun}Name"]]
        self._tags.forget(record[f"{self._noun}Arn"])
        return {}


def models(tags: Tags) -> Named:
    """Models; each needs a container."""

    def check(request: Mapping[str, Any]) -> None:
        containers = request.get("Containers") or [request.get("PrimaryContainer", {})]
        for container in containers:
            if not container.get("ModelPackageName") and not container.get("Image"):
                raise invalid(f"model {request['ModelName']}: a container needs an Image or a ModelPackageName")

    return Named("Model", "model", tags, check)


def endpoint_configs(tags: Tags, known_models: Named) -> Named:
    """Endpoint configurations; the models they name must exist."""

    def check(request: Mapping[str, Any]) -> None:
        for variant in request["ProductionVariants"]:
            if "ModelName" in variant:
                known_models.find(variant["ModelName"])

    return Named("EndpointConfig", "endpoint-config", tags, check)
