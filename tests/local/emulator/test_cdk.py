"""The real CDK CLI against the emulator: bootstrap, deploy, diff, a change, destroy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.emulator.client import REPOSITORY, EmulatorProcess
from tests.local.emulator.conftest import NODE, Account

pytestmark = pytest.mark.e2e
CLI = REPOSITORY / "node_modules" / "aws-cdk" / "bin" / "cdk"
APP = f"{sys.executable} -m tests.local.emulator.cdk_app"
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/c-serving/1"


class Cdk:
    """The CLI, run in the repository as a person runs it."""

    def __init__(self, emulator: EmulatorProcess, folder: Path):
        self._environment = {**emulator.child_environment, "JSII_NODE": NODE}
        self._folder = folder

    def __call__(self, *arguments: str) -> str:
        command = [NODE, str(CLI), *arguments, "--app", APP, "--output", str(self._folder), "-c", "prefix=c"]
        done = subprocess.run(command, cwd=REPOSITORY, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.mark.skipif(not CLI.exists(), reason="npm ci has not been run")
def test_the_cli_deploys_changes_and_destroys(tmp_path: Path) -> None:
    with Account(tmp_path / "account", module="tests.local.emulator.server") as account:
        cdk = Cdk(account, tmp_path / "cdk.out")
        cdk("bootstrap", "aws://123456789012/eu-west-1")
        cdk("deploy", "--all", "--require-approval", "never")
        assert "Number of stacks with differences: 0" in cdk("diff", "--all")

        cloudformation = account.client("cloudformation")
        wanted = [{"ParameterKey": "ModelPackageArn", "ParameterValue": PACKAGE}]
        cloudformation.update_stack(StackName="c-serving", UsePreviousTemplate=True, Parameters=wanted)
        assert account.settled("c-serving") == "UPDATE_COMPLETE"
        cdk("deploy", "c-serving", "--require-approval", "never", "-c", "max=5")
        answer = account.client("sagemaker-runtime").invoke_endpoint(EndpointName="c-serving", Body=b"photo")
        assert answer["Body"].read().decode().startswith(PACKAGE)

        seen = account.client("s3").list_objects_v2(Bucket="c-events-bucket").get("Contents", [])
        assert seen == []
        cdk("destroy", "--all", "--force")
        assert [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]] == ["CDKToolkit"]
        assert account.client("lambda").list_functions()["Functions"] == []
        assert account.client("sqs").list_queues().get("QueueUrls", []) == []


def test_the_clis_environment_reaches_no_other_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", "https://example.com")
    variables = EmulatorProcess(tmp_path, port=4566).child_environment
    ours = {name for name in variables if name.startswith("AWS_")}
    assert "AWS_PROFILE" not in ours
    assert "AWS_ENDPOINT_URL_CLOUDFORMATION" not in ours
    assert variables["AWS_ENDPOINT_URL"] == "http://localhost:4566"
    assert variables["AWS_CONFIG_FILE"] == os.devnull
