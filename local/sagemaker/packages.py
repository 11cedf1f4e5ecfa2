"""The model registry: groups and versioned packages, kept in one JSON file so that a later process has them again.

A group of the file waits until CreateModelPackageGroup names it: the stack that owns the group is deployed anew into
each emulator, and finds the packages of the last one.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.files import read_json, write_json
from local.sagemaker.arns import arn, last_part
from local.sagemaker.errors import ApiError, conflict, invalid
from local.sagemaker.listing import listed
from local.sagemaker.tags import Tags

Emit = Callable[[str, str, Mapping[str, Any], list[str]], None]
_UNKEPT = ("Tags", "ClientToken")
_TOLD = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "InferenceSpecification",
)
_NOT_COPIED = ("ModelPackageArn", "CustomerMetadataProperties", "CustomerMetadataPropertiesToRemove", "ClientToken")


class Packages:
    """Model package groups and packages.

    As on AWS, `emit` gets a state change event for a new package and for every update that changes one; it carries the
    package's approval status whatever changed, and UpdatedModelPackageFields says what did.
    """

    def __init__(self, file: Path, tags: Tags, emit: Emit):
        self._file = file
        self._tags = tags
        self._emit = emit
        self._lock = threading.RLock()
        self._waiting: dict[str, dict[str, Any]] = read_json(file, {})
        self._groups: dict[str, dict[str, Any]] = {}

    def find(self, name: str) -> dict[str, Any]:
        """The package with this ARN; ValidationException when there is none."""
        group, _, version = name.partition(":model-package/")[2].partition("/")
        package: dict[str, Any] | None = self._groups.get(group, {}).get("packages", {}).get(version)
        if package is None:
            raise invalid(f"ModelPackage {name} does not exist.")
        return package

    def operations(self) -> dict[str, Any]:
        """Operation name -> function."""
        return {
            "CreateModelPackageGroup": self._create_group,
            "DescribeModelPackageGroup": lambda request: self._group(request["ModelPackageGroupName"])["group"],
            "ListModelPackageGroups": self._list_groups,
            "DeleteModelPackageGroup": self._delete_group,
            "CreateModelPackage": self._create,
            "DescribeModelPackage": lambda request: self.find(request["ModelPackageName"]),
            "ListModelPackages": self._list,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._delete,
        }

    # groups

    def _group(self, name_or_arn: str) -> dict[str, Any]:
        name = last_part(name_or_arn)
        if name.lower() not in self._groups:
            raise invalid(f"ModelPackageGroup {arn('model-package-group', name)} does not exist.")
        return self._groups[name.lower()]

    def _create_group(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        group_arn = arn("model-package-group", name)
        with self._lock:
            if name.lower() in self._groups:
                raise invalid(f"Model Package Group already exists: {group_arn}")
            kept = self._waiting.pop(name.lower(), {"group": {"CreationTime": time.time()}, "packages": {}, "last": 0})
            described = {key: value for key, value in request.items() if key not in _UNKEPT}
            state = {"ModelPackageGroupArn": group_arn, "ModelPackageGroupStatus": "Completed"}
            # The file may be of a process before this one: a group that comes back is as old as it was.
            group = {**described, **state, "CreationTime": kept["group"]["CreationTime"]}
            self._groups[name.lower()] = {**kept, "group": group}
            self._save()
        self._tags.add(group_arn, request.get("Tags", []))
        return group

    def _list_groups(self, request: Mapping[str, Any]) -> dict[str, Any]:
        groups = [entry["group"] for entry in self._groups.values()]
        return listed(groups, request, "ModelPackageGroupSummaryList", name="ModelPackageGroupName", order="Ascending")

    def _delete_group(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            entry = self._group(request["ModelPackageGroupName"])
            group_arn = entry["group"]["ModelPackageGroupArn"]
            if entry["packages"]:
                raise conflict(
                    f"Model Package Group {group_arn} cannot be deleted because it still contains "
                    f"{len(entry['packages'])} Model Packages"
                )
            del self._groups[last_part(group_arn)]
            self._save()
        self._tags.forget(group_arn)
        return {}

    # packages

    def _create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "ModelPackageGroupName" not in request:
            raise ApiError("ValidationException", "only versioned packages are emulated: give a ModelPackageGroupName")
        with self._lock:
            entry = self._group(request["ModelPackageGroupName"])
            group = entry["group"]["ModelPackageGroupName"]
            entry["last"] += 1
            package_arn = arn("model-package", f"{group}/{entry['last']}")
            now = time.time()
            package = {
                "ModelApprovalStatus": "PendingManualApproval",
                **{key: value for key, value in request.items() if key not in _UNKEPT},
                "ModelPackageGroupName": group,
                "ModelPackageVersion": entry["last"],
                "ModelPackageArn": package_arn,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreationTime": now,
                "LastModifiedTime": now,
            }
            entry["packages"][str(entry["last"])] = package
            self._save()
        self._tags.add(package_arn, request.get("Tags", []))
        self._tell(package, {})
        return package

    def _list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = request.get("ModelPackageGroupName")
        entries = [self._group(wanted)] if wanted else list(self._groups.values())
        versioned = wanted or request.get("ModelPackageType", "Unversioned") in ("Versioned", "Both")
        status = request.get("ModelApprovalStatus")
        packages = [
            package
            for entry in entries
            for package in list(entry["packages"].values())
            if versioned and status in (None, package["ModelApprovalStatus"])
        ]
        return listed(packages, request, "ModelPackageSummaryList", name="ModelPackageGroupName", order="Ascending")

    def _update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            package = self.find(request["ModelPackageArn"])
            changes = {key: value for key, value in request.items() if key not in _NOT_COPIED}
            metadata = {
                **package.get("CustomerMetadataProperties", {}),
                **request.get("CustomerMetadataProperties", {}),
            }
            for key in request.get("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            changes["CustomerMetadataProperties"] = metadata
            before = {"CustomerMetadataProperties": {}, **package}
            changed = sorted(key for key, value in changes.items() if before.get(key) != value)
            package.update({**changes, "LastModifiedTime": time.time()})
            self._save()
        if changed:
            self._tell(package, {"UpdatedModelPackageFields": changed})
        return package

    def _delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            package = self.find(request["ModelPackageName"])
            del self._groups[package["ModelPackageGroupName"].lower()]["packages"][str(package["ModelPackageVersion"])]
            self._save()
        self._tags.forget(package["ModelPackageArn"])
        return {}

    def _save(self) -> None:
        write_json(self._file, {**self._waiting, **self._groups})

    def _tell(self, package: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        detail = {key: package[key] for key in _TOLD if key in package}
        for key in ("CreationTime", "LastModifiedTime"):
            detail[key] = iso(package[key])
        detail.update(more)
        self._emit("aws.sagemaker", "SageMaker Model Package State Change", detail, [package["ModelPackageArn"]])


def iso(seconds: float) -> str:
    """A time as events write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
