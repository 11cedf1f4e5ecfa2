"""The platform on this machine: the emulated account, the stacks deployed into it, and what the last run left in it."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.names import MODEL_PACKAGE_PARAMETER, STACKS
from local.display import Display
from local.emulator import environment
from local.emulator.client import EmulatorProcess
from local.emulator.errors import EmulatorError
from local.errors import LocalError
from local.events import Event
from local.files import file_digest
from local.s3uri import S3Uri
from local.settings import ARTIFACTS_BUCKET, ENVIRONMENT, NAMES, PREFIX, RunSettings
from local.state import State
from ops import cdk, environments, predict, runs, upload
from ops.account import Account, parameter
from ops.errors import OpsError

_RESTORE_SECONDS = 120.0
_POLL_SECONDS = 0.2


class Platform:
    """The platform in a running emulated account."""

    def __init__(self, settings: RunSettings, display: Display, emulator: EmulatorProcess):
        self._settings = settings
        self._display = display
        self._emulator = emulator
        self.account = Account(environments.load(ENVIRONMENT), emulator.child_environment)
        self._state = State(settings.build / "state", self.client("s3"), ARTIFACTS_BUCKET)
        self.executions = settings.build / "executions"

    @property
    def endpoint(self) -> str:
        """Address of the emulated account."""
        return self._emulator.endpoint

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point AWS's SDKs and CLIs to the emulated account."""
        return self._emulator.environment

    @property
    def pid(self) -> int:
        """Process of the emulated account."""
        return self._emulator.pid

    def check(self) -> None:
        """LocalError when the emulated account has ended by itself."""
        try:
            self._emulator.check()
        except EmulatorError as error:
            raise LocalError(str(error)) from error

    @property
    def log(self) -> Path:
        """What the emulated account has to complain about."""
        return self._emulator.log

    # deployment

    def deploy(self, synthesis: Future[Path]) -> None:
        """Bootstrap, deploy all stacks from the templates of `synthesis`, and bring back what the last run left."""
        settings = self._settings
        tool = cdk.Cdk(self.account, build=settings.build / "cdk", listen=self._heard)
        fresh = not cdk.is_bootstrapped(self.account)
        started = time.monotonic()
        if fresh:
            tool.bootstrap_without_cli()
        tool.deploy(assembly=synthesis.result())
        self._display.say(f"cdk deploy --all: {time.monotonic() - started:.0f} s")
        if settings.weights:
            weights_uri = _weights_uri(settings.weights)
            target = S3Uri.parse(weights_uri).child(f"{settings.backbone}{settings.weights.suffix}")
            self.client("s3").upload_file(str(settings.weights), target.bucket, target.key)
        if fresh and (champion := self._state.load()):
            self._put_in_service(champion)

    def _heard(self, line: str) -> None:
        """Tell a person how stacks end, not of every resource."""
        if (found := cdk.event(line)) and "AWS::CloudFormation::Stack" in found[2]:
            stack, status, _ = found
            if not status.endswith("_IN_PROGRESS"):
                self._display.listen(Event("note", "cdk deploy", f"{stack} {status}"))

    def _put_in_service(self, package: str) -> None:
        """Set the serving stack to the model that was in service, without asking the gate again."""
        cloudformation, stack = self.client("cloudformation"), NAMES.stack("serving")
        cloudformation.update_stack(
            StackName=stack,
            UsePreviousTemplate=True,
            Parameters=[{"ParameterKey": MODEL_PACKAGE_PARAMETER, "ParameterValue": package}],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        deadline = time.monotonic() + _RESTORE_SECONDS
        while (status := (self.account.stack("serving") or {}).get("StackStatus", "")).endswith("_IN_PROGRESS"):
            if time.monotonic() > deadline:
                raise LocalError(f"{stack} is still {status} after {_RESTORE_SECONDS:g} s; see {self.log}")
            time.sleep(_POLL_SECONDS)
        if status != "UPDATE_COMPLETE":
            raise LocalError(f"the model of the last run, {package}, could not be served again: {status}; make clean")
        self._display.say(f"{_short(package)}, in service at the end of the last run, is in service again")

    # what a run does

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated account."""
        return self.account.client(service)

    def start_by_upload(self, photos: Path) -> str:
        """Make the raw bucket hold `photos`, put `_SUCCESS`, and return the id of the execution that it starts."""
        known = {run.arn for run in runs.runs(self.account, 100)}
        done = upload.upload(
            self.account, photos, PREFIX, groups=self._settings.groups, listing=self._settings.listing, delete=True
        )
        self._display.say(str(done))
        return runs.wait_for_start(self.account, PREFIX, known, every=_POLL_SECONDS).rpartition("/")[2]

    def step_names(self) -> list[str]:
        """Names of the pipeline's steps in reading order, branches included."""
        definition = self.client("sagemaker").describe_pipeline(PipelineName=NAMES.pipeline)["PipelineDefinition"]
        return list(_names(json.loads(definition)["Steps"]))

    def stop_execution(self, execution: str) -> None:
        """Ask for an execution to be stopped; nothing when it has ended."""
        try:
            runs.stop(self.account, runs.resolve(self.account, execution))
        except OpsError as error:
            self._display.say(str(error))

    def read_json(self, uri: str) -> Any:
        """Read a JSON object from S3; LocalError naming it when it is not there or not JSON."""
        source = S3Uri.parse(uri)
        s3 = self.client("s3")
        try:
            return json.load(s3.get_object(Bucket=source.bucket, Key=source.key)["Body"])
        except (s3.exceptions.ClientError, ValueError) as error:
            raise LocalError(f"{uri} cannot be read as JSON: {error}") from error

    def model_in_service(self) -> str | None:
        """ARN of the package in service, or None."""
        return parameter(self.account.stack("serving") or {}, MODEL_PACKAGE_PARAMETER) or None

    def predict(self, s3_uri: str) -> dict[str, Any]:
        """The API's answer, with the `url` that gave it; LocalError when it is a problem."""
        try:
            return {**predict.predict(self.account, s3_uri=s3_uri), "url": predict.api(self.account).predictions}
        except OpsError as error:
            raise LocalError(str(error)) from error

    def save(self, keep: list[str]) -> None:
        """Keep what the next run needs; `keep`: S3 prefixes beyond packages and cached steps."""
        if len(self.account.stacks()) < len(STACKS):  # somebody destroyed the environment
            self._state.clear()
            return
        sagemaker = self.client("sagemaker")
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=NAMES.model_package_group)
        arns = [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]
        packages = [sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns]
        self._state.save(self.model_in_service(), packages, keep)


@contextlib.contextmanager
def deployed(settings: RunSettings, display: Display, image: Path, *, keep: bool = False) -> Iterator[Platform]:
    """Deploy into the account that `make up` keeps, or into a new one, which ends with the context unless `keep`.

    `image` is the folder whose package `tally` stands for both container images.
    """
    emulator = running_emulator(settings.build)
    if own := emulator is None:
        options = ["--image", str(image), "--max-instances", str(settings.max_instances)]
        options += [] if keep else ["--parent", str(os.getpid())]
        emulator = EmulatorProcess(settings.build, port=settings.port or 0, arguments=options)
    try:
        with _synthesis(settings, code_version(image)) as synthesis:
            if own:
                emulator.start()
            display.say(f"an emulated AWS account {'answers' if own else 'runs already'} at {emulator.endpoint}")
            if not own and (settings.port or settings.max_instances != RunSettings.max_instances):
                display.say("it keeps the port and the max-instances that it was started with: make down ends it")
            platform = Platform(settings, display, emulator)
            platform.deploy(synthesis)
        yield platform
    except BaseException:
        keep = False
        raise
    finally:
        if own and keep:
            emulator.detach()
        elif own:
            emulator.stop()


@contextlib.contextmanager
def _synthesis(settings: RunSettings, code: str) -> Iterator[Future[Path]]:
    """The templates with the settings of this run, made while the account starts: that needs no account.

    `code` names the version of the images' code.
    """
    weights_uri = _weights_uri(settings.weights) if settings.weights else None
    tool = cdk.Cdk(
        Account(environments.load(ENVIRONMENT), environment.without_account()),
        overrides=settings.overrides(code, weights_uri),
        build=settings.build / "cdk" / "synth",
    )
    with ThreadPoolExecutor(1) as threads:
        try:
            yield threads.submit(tool.synth_without_cli)
        finally:
            tool.end()


def running_emulator(build: Path) -> EmulatorProcess | None:
    """The emulator that `make up` keeps running in `build`, or None."""
    try:
        return EmulatorProcess.attach(build)
    except EmulatorError:
        return None


def code_version(image: Path) -> str:
    """A name for the code that jobs run; as the image's tag it makes changed code miss the step cache."""
    package = image / "tally"
    sources = sorted(p for p in package.rglob("*") if p.suffix in (".py", ".html"))
    lines = [f"{path.relative_to(package)} {file_digest(path, 'sha256')}" for path in sources]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _weights_uri(weights: Path) -> str:
    """S3 prefix of pretrained weights, named by their content."""
    return f"s3://{ARTIFACTS_BUCKET}/weights/{file_digest(weights, 'md5')}"


def _names(steps: list[dict[str, Any]]) -> Any:
    for step in steps:
        yield step["Name"]
        arguments = step.get("Arguments", {})
        if step["Type"] == "Condition":
            yield from _names(arguments["IfSteps"])
            yield from _names(arguments["ElseSteps"])


def _short(arn: str) -> str:
    return arn.rpartition("model-package/")[2]
