"""The command line against the emulator: the real CDK CLI and templates, from an empty account back to one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulator.client import EmulatorProcess

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
OTHER = '{"prefix": "other"}'
TAKEN = "other-laptop-raw-123456789012-eu-west-1"


class Account:
    """An empty account, and `python -m ops` in it."""

    def __init__(self, emulator: EmulatorProcess):
        self.emulator = emulator

    def ops(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops", verb, *words, "--env", "laptop"],
            cwd=ROOT,
            env=self.emulator.child_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def done(self, verb: str, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self.ops(verb, *words)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    arguments = ["--image", str(ROOT / "model_code")]
    with EmulatorProcess(tmp_path / "emulator", arguments=arguments) as emulator:
        yield Account(emulator)


def test_from_an_empty_account_back_to_one(account: Account, tmp_path: Path) -> None:
    refused = account.ops("deploy")
    assert "has not been prepared for the CDK in eu-west-1" in refused.stderr
    account.done("bootstrap")
    assert "tally-laptop-api.Url = https://" in account.done("deploy")
    assert "Number of stacks with differences: 0" in account.done("diff")
    changed = account.ops("diff", "--overrides", '{"api": {"burst": 41}}')
    assert (changed.returncode, "BurstLimit" in changed.stdout) == (1, True)

    photo = tmp_path / "photos" / "3" / "1.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes((ROOT / "lambda" / "deploy" / "smoke.jpg").read_bytes())
    assert "1 files, 1 new or changed" in account.done("upload", str(tmp_path / "photos"), "--no-start")
    status = account.done("status")
    assert "model in service: none" in status
    assert "API: 503 no_model: " in status
    for words in (
        ["--s3-uri", "s3://tally-laptop-raw-123456789012-eu-west-1/photos/3/1.jpg"],
        ["--photo", str(photo), "--expected-count", "3"],
    ):
        unanswered = account.ops("predict", *words)
        assert unanswered.returncode == 1
        assert unanswered.stderr.startswith("error: 503 no_model: ")

    gone = account.done("destroy", "--yes")
    assert "emptied tally-laptop-raw-123456789012-eu-west-1: 2 object versions" in gone
    left = gone.split("left:\n")[1].splitlines()
    assert all("ApiGateway" in line or "AccountLogging" in line or "KMS key" in line for line in left), left
    assert "will be lost:\n  nothing: no stack is deployed" in account.done("destroy")


def test_a_bucket_name_that_is_taken_is_named_with_what_to_do(account: Account) -> None:
    account.emulator.client("s3").create_bucket(
        Bucket=TAKEN, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    account.done("bootstrap")
    failed = account.ops("deploy", "--overrides", OTHER)
    assert failed.returncode == 1
    assert f"'{TAKEN}' already exists" in failed.stderr
    assert "What to do: the bucket's name is taken." in failed.stderr
