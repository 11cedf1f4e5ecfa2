"""How the CDK CLI is run: a script stands for it, on the real Node, as a real process."""

import filecmp
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from local.emulator import environment
from local.emulator.client import EmulatorProcess
from ops import cdk, environments
from ops.account import Account
from ops.cdk import Cdk, CdkError, event, is_bootstrapped
from ops.errors import OpsError
from ops.show import DeploymentView

SCRIPT = """
const fs = require("fs");
const {argv, env} = process;
fs.writeFileSync(env.SEEN, JSON.stringify({argv: argv.slice(2), cwd: process.cwd(), env}));
if (env.SLEEPS) { setInterval(() => {}, 1000); console.log("sleeping"); }
else {
  const outputs = argv.indexOf("--outputs-file");
  if (outputs > 0) fs.writeFileSync(argv[outputs + 1], JSON.stringify({"tally-dev-data": {RawBucket: "raw"}}));
  console.log(env.PRINTS || "done");
  process.exitCode = Number(env.CODE || 0);
}
"""


class Cli:
    """The stand-in and what it was called with."""

    def __init__(self, folder: Path, environ: dict[str, str]):
        self.seen = folder / "seen.json"
        self.lines: list[str] = []
        self.folder = folder
        self.environ = {**environ, "SEEN": str(self.seen)}

    def cdk(self, overrides: dict[str, Any] | None = None, **variables: str) -> Cdk:
        account = Account(Settings(environment="dev"), {**self.environ, **variables})
        return Cdk(account, overrides=overrides, build=self.folder / "build", listen=self.lines.append)

    @property
    def call(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.seen.read_text())
        return found


@pytest.fixture
def cli(tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    script = tmp_path / "cdk.js"
    script.write_text(SCRIPT)
    monkeypatch.setattr(cdk, "CLI", script)
    return Cli(tmp_path, environ)


def test_deploy_takes_all_stacks_of_the_environment_and_returns_their_outputs(cli: Cli) -> None:
    assert cli.cdk(overrides={"serving": {"max_instances": 3}}).deploy() == {"tally-dev-data": {"RawBucket": "raw"}}
    words = " ".join(cli.call["argv"])
    assert words.startswith("deploy --all --require-approval never --progress events --concurrency 4")
    assert '--context env=dev --context overrides={"serving": {"max_instances": 3}}' in words
    assert f"--output {cli.folder}/build/cdk.out" in words
    assert cli.call["cwd"] == str(cdk.REPOSITORY)
    assert cli.lines == ["done"]


def test_what_was_synthesized_before_is_deployed_as_it_is(cli: Cli, tmp_path: Path) -> None:
    cli.cdk().deploy(assembly=tmp_path)
    words = cli.call["argv"]
    assert words[words.index("--app") + 1] == str(tmp_path)
    assert not {"--context", "--output"} & set(words)


def test_node_and_our_python_are_what_the_app_runs_on(cli: Cli) -> None:
    cli.cdk().synth()
    env = cli.call["env"]
    assert subprocess.run([env["JSII_NODE"], "--version"], capture_output=True, check=True).stdout.startswith(b"v")
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert cli.call["argv"][2:4] == ["--app", f"{Path(sys.executable).name} app.py"]
    assert env["AWS_REGION"] == "eu-west-1"


@pytest.mark.e2e  # two syntheses
def test_without_the_cli_the_same_templates_are_written(tmp_path: Path) -> None:
    account = Account(environments.load("laptop"), environment.without_account())
    overrides = {"serving": {"max_instances": 3}}
    theirs, ours = (Cdk(account, overrides=overrides, build=tmp_path / name) for name in ("theirs", "ours"))
    compared = filecmp.dircmp(theirs.synth(), ours.synth_without_cli(), ignore=[])
    assert (compared.left_only, compared.right_only) == ([], [])
    assert "tally-laptop-serving.template.json" in compared.common_files
    _, differing, unread = filecmp.cmpfiles(compared.left, compared.right, compared.common_files, shallow=False)
    assert (differing, unread) == ([], [])


@contextmanager
def emulated(folder: Path) -> Iterator[Account]:
    with EmulatorProcess(folder, arguments=["--image", str(cdk.REPOSITORY / "model_code")]) as emulator:
        yield Account(environments.load("laptop"), emulator.child_environment)


@pytest.mark.e2e  # two emulated accounts
def test_without_the_cli_the_same_toolkit_stack_is_deployed(tmp_path: Path) -> None:
    from cfnlint.decode import decode_str  # takes a second to import

    found = []
    for name in ("theirs", "ours"):
        with emulated(tmp_path / name) as account:
            tool = Cdk(account, build=tmp_path / f"{name}-build")
            assert not is_bootstrapped(account)
            (tool.bootstrap if name == "theirs" else tool.bootstrap_without_cli)()
            assert is_bootstrapped(account)
            cloudformation = account.client("cloudformation")
            (stack,) = cloudformation.describe_stacks(StackName="CDKToolkit")["Stacks"]
            template, problems = decode_str(cloudformation.get_template(StackName="CDKToolkit")["TemplateBody"])
            assert template
            assert not problems
            found.append((stack["StackStatus"], stack["Parameters"], stack["Outputs"], template))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "resource",
    [{"Type": "AWS::No::Such"}, {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": "missing"}}],
    ids=["refused at once", "fails on the way"],
)
def test_a_toolkit_stack_that_cannot_be_deployed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resource: dict[str, Any]
) -> None:
    (tmp_path / "template.json").write_text(json.dumps({"Resources": {"Wrong": resource}}))
    monkeypatch.setattr(cdk, "_TOOLKIT_TEMPLATE", tmp_path / "template.json")
    with (
        emulated(tmp_path / "account") as account,
        pytest.raises(OpsError, match="CDKToolkit was not deployed to laptop"),
    ):
        Cdk(account, build=tmp_path / "build").bootstrap_without_cli()


def test_without_the_cli_a_wrong_setting_is_named_as_well(tmp_path: Path) -> None:
    account = Account(environments.load("laptop"), environment.without_account())
    tool = Cdk(account, overrides={"serving": {"max_instances": -1}}, build=tmp_path)
    with pytest.raises(CdkError, match=r"cdk synth for laptop failed .*serving.max_instances"):
        tool.synth_without_cli()


def test_bootstrap_can_be_narrowed(cli: Cli) -> None:
    cli.cdk().bootstrap(execution_policies=["arn:aws:iam::123456789012:policy/a", "arn:aws:iam::aws:policy/b"])
    assert cli.call["argv"][:4] == [
        "bootstrap",
        "aws://123456789012/eu-west-1",
        "--cloudformation-execution-policies",
        "arn:aws:iam::123456789012:policy/a,arn:aws:iam::aws:policy/b",
    ]


def test_a_failure_says_why_what_to_do_and_where_all_of_it_is(cli: Cli) -> None:
    line = "No bucket named 'cdk-hnb659fds-assets-123456789012-eu-west-1'. Is account 123456789012 bootstrapped?"
    with pytest.raises(CdkError) as caught:
        cli.cdk(CODE="1", PRINTS=line).deploy()
    log = cli.folder / "build" / "cdk.log"
    assert str(caught.value) == (
        f"cdk deploy for dev failed (1): {line}\n"
        "What to do: the account has not been prepared for the CDK in this region: python -m ops bootstrap --env dev\n"
        f"All it printed: {log}"
    )
    assert line in log.read_text()


@pytest.mark.parametrize(
    ("code", "text", "differs"),
    [("0", "Number of stacks with differences: 0", False), ("1", "Number of stacks with differences: 2", True)],
)
def test_diff_tells_differences_from_failures(cli: Cli, code: str, text: str, differs: bool) -> None:
    assert cli.cdk(CODE=code, PRINTS=text).diff() is differs
    with pytest.raises(CdkError, match="cdk diff for dev failed"):
        cli.cdk(CODE="1", PRINTS="Stack [x] not found").diff()


def test_destroying_one_stack_leaves_those_that_need_it(cli: Cli) -> None:
    cli.cdk().destroy(["training", "release"])
    assert cli.call["argv"][:4] == ["destroy", "tally-dev-training", "tally-dev-release", "--force"]
    assert "--exclusively" in cli.call["argv"]
    assert f"{cli.folder}/build/cdk.out" in cli.call["argv"]


def test_an_interrupt_ends_the_cli_and_what_it_started(cli: Cli) -> None:
    def interrupt() -> None:
        while not cli.lines:
            time.sleep(0.05)
        time.sleep(0.5)  # to where the next line is awaited: on the way there a signal is not seen before that line
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # Ignored where a script started us in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            cli.cdk(SLEEPS="1").deploy()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    alive = subprocess.run(["pgrep", "-f", str(cli.folder / "cdk.js")], capture_output=True, text=True)
    assert alive.stdout == ""


def test_a_command_of_another_thread_can_be_ended(cli: Cli) -> None:
    tool = cli.cdk(SLEEPS="1")
    with ThreadPoolExecutor(1) as threads:
        synthesis = threads.submit(tool.synth)
        while not cli.lines:
            time.sleep(0.05)
        tool.end()
        assert isinstance(synthesis.exception(timeout=20), CdkError)
        late = threads.submit(tool.synth)
        assert isinstance(late.exception(timeout=20), CdkError)


def test_without_the_cli_the_command_that_installs_it_is_named(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdk, "CLI", tmp_path / "missing")
    with pytest.raises(OpsError, match=r"the CDK CLI is missing .*: make deploy installs it"):
        Cdk(Account(Settings(environment="dev"), environ), build=tmp_path).synth()


def test_a_bootstrapped_account_is_recognised(account: Account) -> None:
    assert not is_bootstrapped(account)
    account.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    assert is_bootstrapped(account)


LINES = [
    "✨  Synthesis time: 4.42s",
    "tally-dev-data: deploying... [1/6]",
    "tally-dev-data |  1/12 | 3:35:22 AM | CREATE_COMPLETE         | AWS::S3::Bucket            | Raw (Raw72517081) ",
    "tally-dev-data |  2/12 | 3:35:22 AM | CREATE_FAILED           | AWS::KMS::Key          | Key (Key961B73FD) denied",
    "✅  tally-dev-data",
]


def test_events_of_stacks_are_read_from_the_cli() -> None:
    assert event(LINES[2]) == ("tally-dev-data", "CREATE_COMPLETE", "AWS::S3::Bucket | Raw (Raw72517081)")
    assert event(LINES[0]) is None


def test_a_deployment_is_shown_by_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    view = DeploymentView(sys.stdout)
    for line in LINES:
        view(line)
    assert [line.split("] ", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "tally-dev-data: deploying... [1/6]",
        "tally-dev-data: CREATE_FAILED AWS::KMS::Key | Key (Key961B73FD) denied",
        "✅  tally-dev-data",
    ]
