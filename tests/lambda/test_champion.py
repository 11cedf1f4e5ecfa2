"""FindChampion against real endpoints and a real registry (moto's server, over a socket)."""

from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

EVENT = {"model_package_group": "tally-dev", "baseline_model_url": "s3://artifacts/baseline/model.tar.gz"}
ROLE = "arn:aws:iam::123456789012:role/serving"


@pytest.fixture
def sagemaker(aws: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A registry with the empty group `tally-dev`, and no endpoint."""
    monkeypatch.setenv("ENDPOINT_NAME", "tally-dev")
    client = boto3.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="tally-dev")
    return client


@pytest.fixture
def champion(load: Any, sagemaker: Any) -> ModuleType:
    (module,) = load("champion", "handler")
    return module


def register(client: Any, name: str, group: str = "tally-dev", **container: str) -> str:
    return str(
        client.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [container or {"Image": "serve", "ModelDataUrl": f"s3://artifacts/{name}/model.tar.gz"}],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
    )


def serve(client: Any, endpoint: str, name: str, *, several: bool = False, **container: str) -> None:
    """An endpoint `endpoint` with a model of this container, as the serving stack makes one."""
    key, value = ("Containers", [container]) if several else ("PrimaryContainer", container)
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, **{key: value})
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.c5.large"}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=endpoint, EndpointConfigName=name)


def with_status(champion: ModuleType, monkeypatch: pytest.MonkeyPatch, sagemaker: Any, **changes: str) -> None:
    """moto's endpoints are always in service: let DescribeEndpoint tell something else."""

    class Client:
        def __getattr__(self, name: str) -> Any:
            return getattr(sagemaker, name)

        def describe_endpoint(self, **request: str) -> dict[str, Any]:
            return {**sagemaker.describe_endpoint(**request), **changes}

    monkeypatch.setattr(champion, "_sagemaker", Client)


def test_without_an_endpoint_the_baseline_is_the_champion(champion: ModuleType, sagemaker: Any) -> None:
    register(sagemaker, "approved")  # approved or not: it is not in service
    assert champion.handler(EVENT, None) == {
        "champion_name": "baseline",
        "champion_model_url": EVENT["baseline_model_url"],
    }


@pytest.mark.parametrize("several", [False, True], ids=["PrimaryContainer", "Containers"])
def test_the_model_in_service_is_the_champion_and_not_the_newest_approved(
    champion: ModuleType, sagemaker: Any, several: bool
) -> None:
    arn = register(sagemaker, "first")
    register(sagemaker, "second")
    serve(sagemaker, "tally-dev", "model-1", several=several, ModelPackageName=arn)
    assert champion.handler(EVENT) == {
        "champion_name": "tally-dev/1",
        "champion_model_url": "s3://artifacts/first/model.tar.gz",
    }


def test_endpoints_of_similar_names_are_not_ours(champion: ModuleType, sagemaker: Any) -> None:
    arn = register(sagemaker, "first")
    for number in range(12):  # a page holds 10
        serve(sagemaker, f"tally-dev-{number}", f"model-{number}", ModelPackageName=arn)
    assert champion.handler(EVENT)["champion_name"] == "baseline"
    serve(sagemaker, "tally-dev", "model", ModelPackageName=arn)
    assert champion.handler(EVENT)["champion_name"] == "tally-dev/1"


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_while_an_update_runs_the_configuration_in_use_counts(
    champion: ModuleType, sagemaker: Any, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    serve(sagemaker, "tally-dev", "old", ModelPackageName=register(sagemaker, "first"))
    serve(sagemaker, "another", "new", ModelPackageName=register(sagemaker, "second"))
    with_status(champion, monkeypatch, sagemaker, EndpointStatus=status)
    assert champion.handler(EVENT)["champion_name"] == "tally-dev/1"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("Creating", "the endpoint tally-dev is being created; run again once it is in service"),
        ("Failed", r"the endpoint tally-dev is Failed \(no capacity\), so no model is surely in service; release one"),
        ("UpdateRollbackFailed", "is UpdateRollbackFailed"),
        ("OutOfService", "is OutOfService"),
        ("Deleting", "is Deleting"),
    ],
)
def test_an_endpoint_that_does_not_serve_is_an_error_and_not_the_baseline(
    champion: ModuleType, sagemaker: Any, monkeypatch: pytest.MonkeyPatch, status: str, message: str
) -> None:
    serve(sagemaker, "tally-dev", "model", ModelPackageName=register(sagemaker, "first"))
    with_status(champion, monkeypatch, sagemaker, EndpointStatus=status, FailureReason="no capacity")
    with pytest.raises(champion.ChampionUnknownError, match=message):
        champion.handler(EVENT)


def test_a_model_from_no_package_is_an_error(champion: ModuleType, sagemaker: Any) -> None:
    serve(sagemaker, "tally-dev", "by-hand", Image="serve", ModelDataUrl="s3://artifacts/model.tar.gz")
    with pytest.raises(champion.ChampionUnknownError, match="serves the model by-hand, which comes from no model pack"):
        champion.handler(EVENT)


def test_a_model_of_another_group_is_an_error(champion: ModuleType, sagemaker: Any) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="other")
    serve(sagemaker, "tally-dev", "model", ModelPackageName=register(sagemaker, "foreign", group="other"))
    with pytest.raises(
        champion.ChampionUnknownError, match="other/1, is not of the group tally-dev; release a package"
    ):
        champion.handler(EVENT)


def test_a_package_that_is_gone_is_an_error(champion: ModuleType, sagemaker: Any) -> None:
    arn = register(sagemaker, "first")
    serve(sagemaker, "tally-dev", "model", ModelPackageName=arn.replace("/1", "/9"))
    with pytest.raises(ClientError, match="tally-dev/9"):
        champion.handler(EVENT)


def test_a_package_without_a_model_is_an_error(champion: ModuleType, sagemaker: Any) -> None:
    arn = register(sagemaker, "broken", Image="serve")
    serve(sagemaker, "tally-dev", "model", ModelPackageName=arn)
    with pytest.raises(champion.ChampionUnknownError, match=f"{arn}, has no ModelDataUrl; release another one"):
        champion.handler(EVENT)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "the event's 'model_package_group' is None; the FindChampion step must send a text"),
        ({"model_package_group": "tally-dev"}, "the event's 'baseline_model_url' is None"),
        ({**EVENT, "model_package_group": ""}, "the event's 'model_package_group' is ''"),
        ({**EVENT, "baseline_model_url": 7}, "the event's 'baseline_model_url' is 7"),
        ([], "the event's 'model_package_group' is None"),
    ],
    ids=["empty", "no baseline", "empty group", "a number", "a list"],
)
def test_a_malformed_event_is_named(champion: ModuleType, event: Any, message: str) -> None:
    with pytest.raises(champion.ChampionUnknownError, match=message):
        champion.handler(event)


def test_a_missing_variable_is_named(champion: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENDPOINT_NAME")
    with pytest.raises(champion.ChampionUnknownError, match="ENDPOINT_NAME is not set"):
        champion.handler(EVENT)
