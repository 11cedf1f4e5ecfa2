"""The platform's own stacks: two environments side by side in one account, and what their rehearsal is worth."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.names import STACKS
from local.emulator.environment import ACCOUNT, REGION
from local.emulator.limits import LIMITS, table, unexplained
from tests.infra.conftest import AppOf, app_of, assemblies, dev, prod  # noqa: F401 - fixtures
from tests.infra.synth import Synthesized
from tests.local.emulator.conftest import ASSETS, Account


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Account]:
    with Account(tmp_path, module="tests.local.emulator.server") as running:
        where = {"LocationConstraint": REGION}
        running.client("s3").create_bucket(Bucket=ASSETS, CreateBucketConfiguration=where)
        yield running


@pytest.mark.e2e
def test_two_environments_live_side_by_side_and_leave_without_the_other(
    empty: Account,
    dev: Synthesized,  # noqa: F811
    prod: Synthesized,  # noqa: F811
) -> None:
    for made in (dev, prod):
        for kind in STACKS:
            empty.deploy(made.directory, f"{made.base}-{kind}")
    cloudformation = empty.client("cloudformation")
    for kind in reversed(STACKS):
        cloudformation.delete_stack(StackName=f"{dev.base}-{kind}")
        waiter = cloudformation.get_waiter("stack_delete_complete")
        waiter.wait(StackName=f"{dev.base}-{kind}", WaiterConfig={"Delay": 1})
    left = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
    assert left == {f"{prod.base}-{kind}" for kind in STACKS}
    functions = [item["FunctionName"] for item in empty.client("lambda").list_functions()["Functions"]]
    assert functions
    assert all(name.startswith(f"{prod.base}-") for name in functions)
    buckets = {item["Name"] for item in empty.client("s3").list_buckets()["Buckets"]} - {ASSETS}
    assert buckets == {f"{prod.base}-{kind}-{ACCOUNT}-{REGION}" for kind in ("raw", "artifacts", "access-logs")}
    assert empty.client("sagemaker").describe_pipeline(PipelineName=prod.base)["PipelineName"] == prod.base


def test_every_type_of_the_platform_is_in_the_table_of_what_the_rehearsal_proves(app_of: AppOf) -> None:  # noqa: F811
    for environment in ("dev", "prod", "laptop"):
        templates = app_of(environment).templates.values()
        types = {resource["Type"] for template in templates for resource in template["Resources"].values()}
        assert unexplained(types) == [], "say in local/emulator/limits.py what is proven of these"


def test_the_table_has_a_row_for_every_subject() -> None:
    lines = table().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [limit.subject for limit in LIMITS]
    assert {line.count(" | ") for line in lines[2:]} == {2}
