"""Finds the model a challenger must beat: a Lambda step of the pipeline, called just before Evaluate.

In:  {"model_package_group": "tally", "baseline_model_url": "s3://..."}
Out: {"champion_name": "tally/7", "champion_model_url": "s3://..."}

Not finding out is an error, never an answer: a challenger judged against the wrong model would be promoted wrongly.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

BASELINE = "baseline"


class ChampionUnknownError(Exception):
    """Which model is the champion could not be found out."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, str]:
    """Name the champion and where its model.tar.gz lies; the baseline when no model has been approved yet."""
    group, baseline_url = _text(event, "model_package_group"), _text(event, "baseline_model_url")
    arn = champion_package(_sagemaker(), group)
    if arn is None:
        return {"champion_name": BASELINE, "champion_model_url": baseline_url}
    package = _sagemaker().describe_model_package(ModelPackageName=arn)
    return {
        "champion_name": f"{group}/{package['ModelPackageVersion']}",
        "champion_model_url": _model_url(arn, package),
    }


def champion_package(sagemaker: Any, group: str) -> str | None:
    """The ARN of the newest approved package of the group; None when the group holds no approved package.

    An unknown group raises, because listing its packages would look like an empty group.
    """
    sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved"
    )
    packages = [package for page in pages for package in page["ModelPackageSummaryList"]]
    if not packages:
        return None
    newest = max(packages, key=lambda package: (package["CreationTime"], package["ModelPackageVersion"]))
    return str(newest["ModelPackageArn"])


def _model_url(arn: str, package: Mapping[str, Any]) -> str:
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    url = containers[0].get("ModelDataUrl") if containers else None
    if not url:
        raise ChampionUnknownError(f"the approved package {arn} has no ModelDataUrl; reject it, or register it again")
    return str(url)


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key) if isinstance(event, Mapping) else None
    if not isinstance(value, str) or not value:
        raise ChampionUnknownError(f"the event's '{key}' is {value!r}; the FindChampion step must send a text")
    return value


@cache
def _sagemaker() -> Any:
    import boto3  # here, so that loading this file costs nothing where the client is never needed

    return boto3.client("sagemaker")
