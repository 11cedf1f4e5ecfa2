"""FindChampion against a real SageMaker registry (moto's server, over a socket)."""

import importlib.util
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

HANDLER = Path(__file__).resolve().parents[2] / "lambda" / "champion" / "handler.py"
EVENT = {"model_package_group": "tally", "baseline_model_url": "s3://artifacts/baseline/model.tar.gz"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def sagemaker(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty registry with the group `tally`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")  # noqa: S310  # our own server
    urllib.request.urlopen(request).close()  # noqa: S310
    client = boto3.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="tally")
    return client


@pytest.fixture
def champion(sagemaker: Any) -> ModuleType:
    spec = importlib.util.spec_from_file_location("champion_handler", HANDLER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def register(client: Any, name: str, status: str = "Approved", group: str = "tally", **container: str) -> str:
    return client.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=status,
        InferenceSpecification={
            "Containers": [container or {"Image": "serve", "ModelDataUrl": f"s3://artifacts/{name}/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]


def test_without_any_package_the_baseline_is_the_champion(champion: ModuleType) -> None:
    assert champion.handler(EVENT, None) == {
        "champion_name": "baseline",
        "champion_model_url": EVENT["baseline_model_url"],
    }


def test_packages_that_were_rejected_or_wait_are_not_considered(champion: ModuleType, sagemaker: Any) -> None:
    register(sagemaker, "first", "Rejected")
    register(sagemaker, "second", "PendingManualApproval")
    assert champion.handler(EVENT)["champion_name"] == "baseline"
    register(sagemaker, "third", "Approved")
    register(sagemaker, "fourth", "PendingManualApproval")
    assert champion.handler(EVENT) == {
        "champion_name": "tally/3",
        "champion_model_url": "s3://artifacts/third/model.tar.gz",
    }


def test_a_package_approved_later_counts(champion: ModuleType, sagemaker: Any) -> None:
    arn = register(sagemaker, "first", "PendingManualApproval")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert champion.handler(EVENT)["champion_name"] == "tally/1"


def test_the_newest_is_found_on_whichever_page_it_is(champion: ModuleType, sagemaker: Any) -> None:
    sagemaker.create_model_package_group(ModelPackageGroupName="other")
    register(sagemaker, "foreign", group="other")
    for number in range(1, 124):  # a page holds 100 at most
        register(sagemaker, f"model-{number}")
    pages = list(sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName="tally"))
    assert len(pages) > 1
    assert champion.handler(EVENT) == {
        "champion_name": "tally/123",
        "champion_model_url": "s3://artifacts/model-123/model.tar.gz",
    }


def test_packages_of_the_same_moment_are_ordered_by_version(champion: ModuleType) -> None:
    class Registry:
        """Two packages with one creation time, which no real registry gives on demand."""

        def describe_model_package_group(self, **_: str) -> None: ...

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: str) -> list[dict[str, Any]]:
            packages = [
                {"ModelPackageArn": f"tally/{version}", "ModelPackageVersion": version, "CreationTime": 0}
                for version in (9, 10, 2)
            ]
            return [{"ModelPackageSummaryList": packages}]

    assert champion.champion_package(Registry(), "tally") == "tally/10"


def test_a_missing_group_is_an_error_and_not_an_empty_one(champion: ModuleType) -> None:
    with pytest.raises(ClientError, match="unknown does not exist"):
        champion.handler({**EVENT, "model_package_group": "unknown"})


def test_a_package_without_a_model_is_an_error(champion: ModuleType, sagemaker: Any) -> None:
    arn = register(sagemaker, "broken", Image="serve")
    with pytest.raises(
        champion.ChampionUnknownError, match=f"{arn} has no ModelDataUrl; reject it, or register it again"
    ):
        champion.handler(EVENT)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, "the event's 'model_package_group' is None; the FindChampion step must send a text"),
        ({"model_package_group": "tally"}, "the event's 'baseline_model_url' is None"),
        ({**EVENT, "model_package_group": ""}, "the event's 'model_package_group' is ''"),
        ({**EVENT, "baseline_model_url": 7}, "the event's 'baseline_model_url' is 7"),
        ([], "the event's 'model_package_group' is None"),
    ],
    ids=["empty", "no baseline", "empty group", "a number", "a list"],
)
def test_a_malformed_event_is_named(champion: ModuleType, event: Any, message: str) -> None:
    with pytest.raises(champion.ChampionUnknownError, match=message):
        champion.handler(event)


def test_loading_the_file_is_quick_and_needs_neither_boto3_nor_network() -> None:
    code = (
        "import sys, time, runpy; start = time.perf_counter();"
        f"runpy.run_path({str(HANDLER)!r}); seconds = time.perf_counter() - start;"
        "assert 'boto3' not in sys.modules; assert seconds < 0.15, seconds"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=60)
