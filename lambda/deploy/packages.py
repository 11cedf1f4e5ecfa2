"""Model packages: what the registry says of one, and what a release writes into it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import wording

VERDICT = "verdict"  # of the gate, written when the package was registered
CHAMPION = "champion"  # `group/7` or BASELINE: what the gate compared it with
BASELINE = "baseline"
RELEASE = "release"  # token of the newest release of this package
REPLACES = "replaces"  # package that was in service before that release, or NOTHING
RUN = "release_run"  # pipeline execution that asked for it
NOTHING = "none"  # metadata values cannot be empty
_RECENT = 50


class UnknownPackageError(Exception):
    """A model package does not exist, or is of another group."""


@dataclass(frozen=True)
class Package:
    """A version of the group. `approval` is Approved, Rejected or PendingManualApproval."""

    arn: str
    version: int
    approval: str
    description: str
    status: str
    metadata: Mapping[str, str]

    @property
    def name(self) -> str:
        """`group/7`."""
        return wording.version_of(self.arn)

    @property
    def replaces(self) -> str:
        """The ARN of what the newest release of this package replaced; "" for nothing."""
        value = self.metadata.get(REPLACES, NOTHING)
        return "" if value == NOTHING else value


class Registry:
    """The packages of one group."""

    def __init__(self, sagemaker: Any, group: str) -> None:
        self._sagemaker = sagemaker
        self._group = group

    def get(self, arn: str) -> Package:
        """Describe a package; UnknownPackageError when there is none in the group by this ARN."""
        found = self._describe(arn)
        group = found.get("ModelPackageGroupName")
        if group != self._group:
            raise UnknownPackageError(
                f"the package {arn} is of the group {group!r}; only packages of {self._group!r} go into service here"
            )
        return Package(
            arn=str(found["ModelPackageArn"]),
            version=int(found["ModelPackageVersion"]),
            approval=str(found.get("ModelApprovalStatus", "PendingManualApproval")),
            description=str(found.get("ApprovalDescription") or ""),
            status=str(found.get("ModelPackageStatus", "Completed")),
            metadata=dict(found.get("CustomerMetadataProperties") or {}),
        )

    def remember(self, package: Package, **metadata: str) -> None:
        """Add to the package's metadata. The approval is left out: naming it would look like a new approval."""
        self._sagemaker.update_model_package(
            ModelPackageArn=package.arn,
            CustomerMetadataProperties={**package.metadata, **metadata},
        )

    def mark(self, package: Package, approval: str, description: str) -> None:
        """Set the approval and say why."""
        self._sagemaker.update_model_package(
            ModelPackageArn=package.arn,
            ModelApprovalStatus=approval,
            ApprovalDescription=wording.cut(" ".join(description.split()), wording.DESCRIPTION_LIMIT),
            CustomerMetadataProperties=dict(package.metadata),
        )

    def released_by(self, token: str) -> Package | None:
        """The package whose newest release carried this token, among the newest of the group; None when there is
        none."""
        page = self._sagemaker.list_model_packages(
            ModelPackageGroupName=self._group, SortBy="CreationTime", SortOrder="Descending", MaxResults=_RECENT
        )
        for summary in page["ModelPackageSummaryList"]:
            package = self.get(summary["ModelPackageArn"])
            if package.metadata.get(RELEASE) == token:
                return package
        return None

    def _describe(self, arn: str) -> dict[str, Any]:
        from botocore.exceptions import ClientError, ParamValidationError

        try:
            found: dict[str, Any] = self._sagemaker.describe_model_package(ModelPackageName=arn)
        except ParamValidationError:
            raise UnknownPackageError(f"{arn!r} is no ARN of a model package; release one of {self._group!r}") from None
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
                raise
            raise UnknownPackageError(
                f"there is no model package {arn}; it was deleted or is of another account or region. "
                f"Release one of the group {self._group!r}"
            ) from error
        return found
