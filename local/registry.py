"""Model packages that outlive a run: saved as JSON, registered again in the same order, so that ARNs stay the same."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from local.cloud import ACCOUNT, REGION
from local.errors import LocalError
from local.files import read_json, write_json
from local.steps.register import wire

_REQUEST = (
    "ModelPackageGroupName",
    "ModelPackageDescription",
    "ModelApprovalStatus",
    "InferenceSpecification",
    "ModelMetrics",
    "MetadataProperties",
    "CustomerMetadataProperties",
)


def packages(sagemaker: Any, group: str) -> list[dict[str, Any]]:
    """Describe all packages of the group, oldest version first."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    arns = [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]
    described = [wire(sagemaker.describe_model_package(ModelPackageName=arn)) for arn in arns]
    return sorted(described, key=lambda package: int(package["ModelPackageVersion"]))


def newest_approved(sagemaker: Any, group: str) -> dict[str, Any] | None:
    """The package in service, or None: the approved one with the highest version."""
    approved = [p for p in packages(sagemaker, group) if p["ModelApprovalStatus"] == "Approved"]
    return approved[-1] if approved else None


def save(sagemaker: Any, group: str, path: Path) -> None:
    """Write all packages of the group."""
    write_json(path, packages(sagemaker, group))


def restore(sagemaker: Any, group: str, path: Path) -> int:
    """Create the group and register the saved packages again; return how many.

    LocalError when a package would get another ARN than it had, for then approvals would point at the wrong model.
    """
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    saved: list[dict[str, Any]] = read_json(path, [])
    for package in saved:
        request = {key: package[key] for key in _REQUEST if package.get(key) is not None}
        arn = sagemaker.create_model_package(**request)["ModelPackageArn"]
        if arn != package["ModelPackageArn"]:
            raise LocalError(
                f"{path} lists {package['ModelPackageArn']}, which came back as {arn}; delete the state folder"
            )
        # The API cannot set a creation time, and the newest approved package is found by it.
        restored = sagemaker_backends[ACCOUNT][REGION].model_packages[arn]
        restored.creation_time = datetime.fromtimestamp(package["CreationTime"], UTC).replace(tzinfo=None)
    return len(saved)
