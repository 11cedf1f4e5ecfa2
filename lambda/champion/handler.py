"""Finds the model a challenger must beat: a Lambda step of the pipeline, called just before Evaluate.

In:  {"model_package_group": "tally-dev", "baseline_model_url": "s3://..."}
Out: {"champion_name": "tally-dev/7", "champion_model_url": "s3://..."}

The champion is the model in service: what the endpoint's configuration names now, whatever the registry's approvals
say. Without an endpoint it is the baseline. Not finding out is an error, never an answer: a challenger judged against
the wrong model would be promoted wrongly.

IAM: sagemaker:ListEndpoints on *; DescribeEndpoint on endpoint/NAME; DescribeEndpointConfig on endpoint-config/*;
DescribeModel on model/*; DescribeModelPackage on model-package/GROUP/*. Environment: ENDPOINT_NAME.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

BASELINE = "baseline"
# While an update or its rollback runs, DescribeEndpoint names the configuration that still takes the traffic.
_SERVING = ("InService", "Updating", "SystemUpdating", "RollingBack")


class ChampionUnknownError(Exception):
    """Which model is the champion could not be found out. The message says what to do."""


def handler(event: Mapping[str, Any], _context: object = None) -> dict[str, str]:
    """Name the champion and where its model.tar.gz lies; the baseline when no model is in service."""
    group, baseline_url = _text(event, "model_package_group"), _text(event, "baseline_model_url")
    endpoint = os.environ.get("ENDPOINT_NAME", "")
    if not endpoint:
        raise ChampionUnknownError("the environment variable ENDPOINT_NAME is not set; deploy the training stack again")
    sagemaker = _sagemaker()
    if not endpoint_exists(sagemaker, endpoint):
        answer = {"champion_name": BASELINE, "champion_model_url": baseline_url}
    else:
        answer = _described(sagemaker, package_in_service(sagemaker, endpoint), group)
    print(json.dumps({"event": "champion found", **answer}))
    return answer


def endpoint_exists(sagemaker: Any, endpoint: str) -> bool:
    """Whether there is an endpoint of exactly this name."""
    pages = sagemaker.get_paginator("list_endpoints").paginate(NameContains=endpoint)
    return any(item["EndpointName"] == endpoint for page in pages for item in page["Endpoints"])


def package_in_service(sagemaker: Any, endpoint: str) -> str:
    """The ARN of the model package that the endpoint serves; ChampionUnknownError when it serves none for sure."""
    described = sagemaker.describe_endpoint(EndpointName=endpoint)
    status = described["EndpointStatus"]
    if status == "Creating":
        raise ChampionUnknownError(f"the endpoint {endpoint} is being created; run again once it is in service")
    if status not in _SERVING:
        why = described.get("FailureReason", "no reason given")
        raise ChampionUnknownError(
            f"the endpoint {endpoint} is {status} ({why}), so no model is surely in service; release one by approving "
            f"its package, or remove the endpoint, then run again"
        )
    config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    container = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
    arn = container.get("ModelPackageName")
    if not arn:
        raise ChampionUnknownError(
            f"the endpoint {endpoint} serves the model {model['ModelName']}, which comes from no model package; "
            f"release a package of the registry, then run again"
        )
    return str(arn)


def _described(sagemaker: Any, arn: str, group: str) -> dict[str, str]:
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    if package.get("ModelPackageGroupName") != group:
        raise ChampionUnknownError(
            f"the model in service, {arn}, is not of the group {group}; release a package of that group, then run again"
        )
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    url = containers[0].get("ModelDataUrl") if containers else None
    if not url:
        raise ChampionUnknownError(
            f"the package in service, {arn}, has no ModelDataUrl; release another one, then run again"
        )
    return {"champion_name": f"{group}/{package['ModelPackageVersion']}", "champion_model_url": str(url)}


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key) if isinstance(event, Mapping) else None
    if not isinstance(value, str) or not value:
        raise ChampionUnknownError(f"the event's '{key}' is {value!r}; the FindChampion step must send a text")
    return value


@cache
def _sagemaker() -> Any:
    import boto3  # here, so that loading this file costs nothing where the client is never needed

    return boto3.client("sagemaker")
