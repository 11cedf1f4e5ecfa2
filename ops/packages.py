"""Model packages: the versions of the model, what the gate said of each, and which one is in service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from infra.names import MODEL_PACKAGE_PARAMETER
from ops.account import Account, parameter
from ops.errors import OpsError, code

PROMOTE = "promote"


@dataclass(frozen=True)
class Package:
    """A version of the model. `metadata` holds what the gate wrote: verdict, gain, p_value, ..."""

    arn: str
    version: int
    approval: str  # PendingManualApproval, Approved, Rejected
    description: str  # why it was approved or rejected
    created: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    in_service: bool = False
    has_card: bool = False  # a model card with content

    @property
    def verdict(self) -> str:
        """What the gate said; empty when the package carries no verdict."""
        return self.metadata.get("verdict", "")

    @property
    def replaces(self) -> str | None:
        """ARN of the package that it replaced when it went into service."""
        arn = self.metadata.get("replaces", "")
        return arn if arn.startswith("arn:") else None


def in_service(account: Account) -> str | None:
    """ARN of the package that the serving stack serves; None without a model. OpsError without the stack."""
    stack = account.stack("serving")
    if stack is None:
        raise OpsError(account.not_deployed("serving"))
    return parameter(stack, MODEL_PACKAGE_PARAMETER) or None


def packages(account: Account, limit: int = 20) -> list[Package]:
    """The newest packages, newest first. OpsError when the group does not exist."""
    serving = in_service(account)
    request: dict[str, Any] = {
        "ModelPackageGroupName": account.names.model_package_group,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
    }
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        answer = account.client("sagemaker").list_model_packages(**request)
        found += answer["ModelPackageSummaryList"]
        if not answer.get("NextToken"):
            break
        request["NextToken"] = answer["NextToken"]
    if not found:  # listing a group that does not exist looks like an empty group
        _check_group(account)
    found.sort(key=lambda item: int(item["ModelPackageVersion"]), reverse=True)
    return [_described(account, item["ModelPackageArn"], serving) for item in found[:limit]]


def package(account: Account, version: int | str) -> Package:
    """The package of a version (7, "7") or ARN. OpsError names the versions that there are."""
    arn = str(version) if str(version).startswith("arn:") else _arn(account, str(version))
    try:
        return _described(account, arn, in_service(account))
    except ClientError as error:
        if code(error) not in ("ValidationException", "ResourceNotFound"):
            raise
        known = [str(item.version) for item in packages(account)]
        raise OpsError(
            f"model package group {account.names.model_package_group} has no version {version}; "
            + (f"the newest are {', '.join(known)}" if known else "it is empty: no run has promoted a model yet")
        ) from error


def previous(account: Account) -> Package:
    """The package that the one in service replaced. OpsError when no model is in service, or it replaced none."""
    serving = in_service(account)
    if serving is None:
        raise OpsError(f"no model is in service in {account.environment}, so there is none to roll back from")
    current = _described(account, serving, serving)
    if current.replaces is None:
        raise OpsError(
            f"version {current.version}, which is in service, replaced no other model; name the version to go back to "
            "(`packages` lists them)"
        )
    return _described(account, current.replaces, serving)


def _arn(account: Account, version: str) -> str:
    if not version.isdigit():
        raise OpsError(f"{version!r} is no version of a model package; give its number, for example 7, or its ARN")
    group = account.names.model_package_group
    return f"arn:{account.partition}:sagemaker:{account.region}:{account.account_id}:model-package/{group}/{version}"


def _check_group(account: Account) -> None:
    try:
        account.client("sagemaker").describe_model_package_group(
            ModelPackageGroupName=account.names.model_package_group
        )
    except ClientError as error:
        if code(error) in ("ValidationException", "ResourceNotFound"):
            raise OpsError(account.not_deployed("training")) from error
        raise


def _described(account: Account, arn: str, serving: str | None) -> Package:
    answer = account.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return Package(
        arn=answer["ModelPackageArn"],
        version=int(answer["ModelPackageVersion"]),
        approval=answer.get("ModelApprovalStatus", ""),
        description=answer.get("ApprovalDescription", ""),
        created=answer["CreationTime"],
        metadata=answer.get("CustomerMetadataProperties", {}),
        in_service=answer["ModelPackageArn"] == serving,
        has_card=bool(answer.get("ModelCard", {}).get("ModelCardContent")),
    )
