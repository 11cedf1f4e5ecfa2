"""Takes an environment down: says what will be lost, ends what runs, empties buckets, deletes the stacks."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.names import STAGE
from ops import buckets, runs
from ops.account import Account
from ops.cdk import Cdk, CdkError
from ops.errors import OpsError, code

Say = Callable[[str], None]

_BUCKET, _GROUP, _KEY = "AWS::S3::Bucket", "AWS::SageMaker::ModelPackageGroup", "AWS::KMS::Key"
_BEFORE_DATA = ("operations", "api", "training", "release")
_SETTLE_SECONDS = 3600.0
_LATE_LOGS = 3  # S3 delivers access logs hours late: how often the data stack is tried


@dataclass(frozen=True)
class _Resource:
    kind: str
    name: str
    kept: bool  # its deletion policy says that it stays


@dataclass(frozen=True)
class Plan:
    """What `destroy` will do, found out beforehand."""

    stacks: list[str]
    contents: list[buckets.Content]  # of buckets that will be emptied and deleted
    packages: list[str]  # ARNs of model packages that will be deleted
    running: list[runs.Run]
    kept: list[str]
    keys: list[str]

    def lines(self) -> list[str]:
        """The plan for people."""
        lost = [f"stack {name}" for name in self.stacks]
        lost += [f"bucket {content}" for content in self.contents]
        lost += [f"{len(self.packages)} model packages"] if self.packages else []
        lost += [f"run {run.id} is stopped" for run in self.running]
        return [
            "will be lost:",
            *(f"  {text}" for text in lost or ["nothing: no stack is deployed"]),
            *(["will stay:"] if self.kept else []),
            *(f"  {text}" for text in self.kept),
        ]


def plan(account: Account) -> Plan:
    """Look at what is deployed."""
    resources = _resources(account)
    lost = [item for item in resources if not item.kept]
    return Plan(
        stacks=[stack["StackName"] for stack in account.stacks().values()],
        contents=[buckets.content(account, item.name) for item in lost if item.kind == _BUCKET],
        packages=[arn for item in lost if item.kind == _GROUP for arn in _package_arns(account, item.name)],
        running=_running(account),
        kept=[f"{item.kind} {item.name}" for item in resources if item.kept],
        keys=[item.name for item in lost if item.kind == _KEY],
    )


def destroy(account: Account, cdk: Cdk, say: Say) -> list[str]:
    """Delete the environment; what is left afterwards, in words (empty: nothing).

    The stacks go in an order in which nothing writes into a bucket any more once it is emptied.
    """
    found = plan(account)
    logs = _service_logs(account)
    cdk.synth()  # before anything is lost: it needs the tools and readable settings
    for run in found.running:
        say(f"stopping run {run.id}")
        _stop(account, run.arn)
    _settle(account, say)
    say("deleting the endpoint")
    cdk.destroy(["serving"])
    for arn in found.packages:
        account.client("sagemaker").delete_model_package(ModelPackageName=arn)
    if found.packages:
        say(f"deleted {len(found.packages)} model packages")
    say("deleting the stacks")
    cdk.destroy(_BEFORE_DATA)
    _destroy_data(account, cdk, [content.bucket for content in found.contents], say)
    if not account.settings.operations.keep_data:
        _delete_logs(account, logs)
    return _left(account, found)


def _destroy_data(account: Account, cdk: Cdk, names: list[str], say: Say) -> None:
    for attempt in range(1, _LATE_LOGS + 1):
        for name in names:
            if deleted := buckets.empty(account, name):
                say(f"emptied {name}: {deleted} object versions")
        try:
            cdk.destroy(["data"])
        except CdkError as error:
            if "not empty" not in error.output.lower() or attempt == _LATE_LOGS:
                raise
            say("an access log arrived late; emptying again")
        else:
            return


def _resources(account: Account) -> list[_Resource]:
    cloudformation = account.client("cloudformation")
    found = []
    for stack in account.stacks().values():
        body = cloudformation.get_template(StackName=stack["StackName"])["TemplateBody"]
        template: dict[str, Any] = json.loads(body) if isinstance(body, str) else body
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack["StackName"])
        for page in pages:
            for item in page["StackResourceSummaries"]:
                policy = template["Resources"].get(item["LogicalResourceId"], {}).get("DeletionPolicy", "Delete")
                if name := item.get("PhysicalResourceId"):
                    found.append(_Resource(item["ResourceType"], name, policy.startswith("Retain")))
    return found


def _package_arns(account: Account, group: str) -> list[str]:
    name = group.rsplit("/", 1)[-1]  # the resource's id is the group's ARN
    pages = account.client("sagemaker").get_paginator("list_model_packages").paginate(ModelPackageGroupName=name)
    return [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]


def _running(account: Account) -> list[runs.Run]:
    if account.stack("training") is None:
        return []
    return [run for run in runs.runs(account, 100) if run.status in runs.RUNNING]


def _stop(account: Account, arn: str) -> None:
    if runs.describe(account, arn).status == "Executing":
        runs.stop(account, arn)


def _settle(account: Account, say: Say) -> None:
    """Wait until runs have stopped and no stack is being changed. OpsError when that takes an hour."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    said: list[str] = []
    while True:
        busy = [f"run {run.id} is {run.status}" for run in _running(account)]
        for stack in account.stacks().values():
            if stack["StackStatus"].endswith("_IN_PROGRESS"):
                busy.append(f"stack {stack['StackName']} is {stack['StackStatus']}")
        if not busy:
            return
        if time.monotonic() > deadline:
            raise OpsError(f"{'; '.join(busy)} after an hour; stop it in the console, then destroy again")
        if busy != said:
            say(f"waiting: {'; '.join(busy)}")
            said = busy
        time.sleep(1.0 if account.endpoint_url else 10.0)


def _service_logs(account: Account) -> list[str]:
    """Log groups that services made for this environment alone, outside the stacks."""
    groups = [f"/aws/sagemaker/Endpoints/{account.names.endpoint}"]
    if stack := account.stack("api"):
        outputs = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
        if url := outputs.get("Url"):
            groups.append(f"API-Gateway-Execution-Logs_{url.split('//')[-1].split('.')[0]}/{STAGE}")
    return groups


def _delete_logs(account: Account, groups: list[str]) -> None:
    for group in groups:
        try:
            account.client("logs").delete_log_group(logGroupName=group)
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise


def _left(account: Account, found: Plan) -> list[str]:
    left = [f"stack {stack['StackName']} ({stack['StackStatus']})" for stack in account.stacks().values()]
    left += found.kept
    left += [f"KMS key {key}: pending deletion, AWS deletes it for good after its waiting time" for key in found.keys]
    return left
