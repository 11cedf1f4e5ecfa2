"""Tags of all resources that this emulation holds itself."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any


class Tags:
    """Tags by ARN."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tags: dict[str, dict[str, str]] = {}

    def add(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        """Set tags; those with the same keys are replaced."""
        with self._lock:
            self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})

    def forget(self, arn: str) -> None:
        """The resource is gone."""
        with self._lock:
            self._tags.pop(arn, None)

    def of(self, arn: str) -> list[dict[str, str]]:
        """Tags as the API lists them."""
        return [{"Key": key, "Value": value} for key, value in self._tags.get(arn, {}).items()]

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        return {"AddTags": self._add_tags, "ListTags": self._list_tags, "DeleteTags": self._delete_tags}

    def _add_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.add(request["ResourceArn"], request["Tags"])
        return {"Tags": self.of(request["ResourceArn"])}

    def _list_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"Tags": self.of(request["ResourceArn"])}

    def _delete_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            for key in request["TagKeys"]:
                self._tags.get(request["ResourceArn"], {}).pop(key, None)
        return {}
