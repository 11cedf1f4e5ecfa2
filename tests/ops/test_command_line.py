"""`python -m ops` as a person meets it: help, errors, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.account import Account
from ops.parser import parser
from ops.verbs import VERBS
from tests.ops.conftest import register, serve

REPOSITORY = Path(__file__).parents[2]


def ops(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "ops", *words],
        cwd=REPOSITORY,
        env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_names_every_verb_and_is_quick() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ops", "--help"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for verb in VERBS:
        assert f"    {verb}" in done.stdout
    for module in ("boto3", "rich", "aws_cdk"):
        assert f" {module}\n" not in done.stderr


def test_every_verb_of_the_parser_does_something() -> None:
    (verbs,) = [action for action in parser()._actions if action.dest == "verb"]
    assert set(verbs.choices or ()) == set(VERBS)


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (
            ["status", "--env", "staging"],
            {},
            "error: environment 'staging' is not in cdk.json, which has dev, laptop, prod; choose one: ENV=dev",
        ),
        (
            ["deploy", "--env", "dev", "--overrides", '{"serving": {"max_instances": 0}}'],
            {},
            "error: environments.dev.serving.max_instances is 0; it must be 1 to 100",
        ),
        (
            ["deploy", "--env", "dev", "--overrides", "max=3"],
            {},
            "error: --overrides is not JSON: Expecting value: line 1 column 1 (char 0); "
            'write it like \'{"serving": {"min_instances": 2}}\'',
        ),
        (
            ["status", "--env", "dev"],
            {},
            "error: no region: set environments.dev.region in cdk.json, or the variable AWS_REGION",
        ),
        (
            ["predict", "--env", "laptop", "--photo", "x.jpg"],
            {},
            "error: no region: the environment laptop lives in what make up runs: make up, then . build/run/aws.env",
        ),
        (
            ["status", "--env", "dev"],
            {"AWS_REGION": "eu-west-1"},
            "error: no AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            ["status", "--env", "dev"],
            {"AWS_REGION": "eu-west-1", "AWS_PROFILE": "nobody"},
            "error: The config profile (nobody) could not be found; `aws configure list-profiles` shows those that "
            "exist, and AWS_PROFILE chooses one",
        ),
        (
            ["start", "photos", "--env", "dev", "--parameter", "GateAlpha=2"],
            {"AWS_REGION": "eu-west-1"},
            "error: --parameter: GateAlpha is '2'; it must be a number above 0 and below 1",
        ),
        (
            ["start", "photos", "--env", "dev", "--parameter", "Epoch=3"],
            {"AWS_REGION": "eu-west-1"},
            "error: --parameter: there is no pipeline parameter Epoch; did you mean Epochs?",
        ),
        (
            ["start", "photos", "--env", "dev", "--parameter", "HpoParallelism=9"],
            {"AWS_REGION": "eu-west-1"},
            "error: --parameter: HpoParallelism is 9; it must be at most HpoJobs, which is 6",  # of dev in cdk.json
        ),
        (
            ["start", "photos", "--env", "dev", "--parameter", "Epochs"],
            {"AWS_REGION": "eu-west-1"},
            "error: --parameter Epochs: write NAME=VALUE, for example GateAlpha=0.01",
        ),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(words: list[str], variables: dict[str, str], message: str) -> None:
    done = ops(*words, **variables)
    assert (done.returncode, done.stderr.strip()) == (1, message)


def test_an_account_other_than_cdk_json_says_is_refused(environ: dict[str, str]) -> None:
    done = ops("status", "--env", "dev", "--overrides", '{"account": "999999999999"}', **environ)
    assert done.returncode == 1
    assert "error: these credentials belong to account 123456789012, and environment dev is in 999999999999" in (
        done.stderr
    )


def test_an_account_that_is_not_bootstrapped_is_not_deployed_to(environ: dict[str, str]) -> None:
    done = ops("deploy", "--env", "dev", **environ)
    assert done.returncode == 1
    assert "python -m ops bootstrap --env dev" in done.stderr


@pytest.mark.usefixtures("data_stack")
def test_destroy_says_what_is_lost_and_asks_nobody_where_nobody_is(environ: dict[str, str]) -> None:
    done = ops("destroy", "--env", "dev", **environ)
    assert done.returncode == 1
    assert "stack tally-dev-data" in done.stdout
    assert done.stderr.strip() == (
        "error: nobody can be asked whether dev may be destroyed (stdin is no terminal); say --yes"
    )


def test_a_service_that_does_not_answer_is_named(environ: dict[str, str]) -> None:
    done = ops("packages", "--env", "dev", **{**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert done.returncode == 1
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/"' in done.stderr
    assert "is `make up` running?" in done.stderr


@pytest.mark.usefixtures("group")
def test_packages_and_rollback_work_from_the_command_line(account: Account, environ: dict[str, str]) -> None:
    old, new = register(account, status="Approved"), register(account, status="Approved")
    account.client("sagemaker").update_model_package(
        ModelPackageArn=new, CustomerMetadataProperties={"verdict": "promote", "replaces": old}
    )
    serve(account, new)
    assert "in service" in ops("packages", "--env", "dev", **environ).stdout.splitlines()[1]
    done = ops("rollback", "--no-wait", "--env", "dev", **environ)
    assert (done.returncode, done.stdout) == (0, "version 1 is approved; the release begins\n")
    done = ops("approve", "9", "--env", "dev", **environ)
    assert done.stderr.strip() == ("error: model package group tally-dev has no version 9; the newest are 2, 1")
