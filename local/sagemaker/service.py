"""The emulated SageMaker: one object that answers every operation by its name."""

import json
import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.cache import StepCache
from local.callbacks import Callbacks
from local.errors import StepError
from local.events import Event
from local.jobs.containers import Containers
from local.jobs.inputs import Inputs, ReadObject, list_objects
from local.jobs.workspace import Limits, Workspace
from local.s3uri import S3Uri
from local.sagemaker import shapes
from local.sagemaker.arns import ACCOUNT, REGION
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.errors import ApiError, invalid
from local.sagemaker.executions import Executions
from local.sagemaker.hosting import Hosting
from local.sagemaker.invocations import Invocations
from local.sagemaker.jobs import Jobs, Listen
from local.sagemaker.models import endpoint_configs, models
from local.sagemaker.moto import Moto
from local.sagemaker.packages import Emit, Packages
from local.sagemaker.pipelines import Pipelines
from local.sagemaker.tags import Tags
from local.steps.base import StepRunner
from local.steps.callback import CallbackRunner
from local.steps.control import ConditionRunner, FailRunner
from local.steps.functions import FunctionRunner
from local.steps.jobs import job_runners
from local.steps.packages import PackageRunner

_CALLBACK_SECONDS = 7 * 86400.0  # SageMaker waits seven days for an answer
_LAMBDA_SECONDS = 600  # a Lambda step ends after ten minutes
_KEPT_EXECUTIONS = 10
_AUTOSCALING = "application-autoscaling"
_JOBS_AT_WORK_SECONDS = 10.0  # from the start of an execution until nothing but jobs is at work

_logger = logging.getLogger("tally.sagemaker")


@dataclass(frozen=True)
class Folders:
    """Where things lie: logs of executions and servers, the state for the next process, fetched inputs."""

    executions: Path
    servers: Path
    state: Path
    inputs: Path


class SageMaker:
    """Answers SageMaker, SageMaker Runtime and Application Auto Scaling.

    `endpoint_url` is the gateway that S3, SQS and Lambda are reached through, from threads only. `emit` gets
    EventBridge events (source, detail type, detail, resources); `listen` what a terminal may show: an execution id, job
    or endpoint name, and an event. `stopping_seconds`: see CallbackRunner; `read_object`: see Inputs.
    """

    def __init__(
        self,
        endpoint_url: str,
        containers: Containers,
        folders: Folders,
        *,
        limits: Limits | None = None,
        emit: Emit = lambda _source, _kind, _detail, _resources: None,
        listen: Listen = lambda _subject, _event: None,
        stopping_seconds: float = 60.0,
        read_object: ReadObject = lambda _bucket, _key, _etag: None,
    ):
        _tidy(folders)
        self._limits = limits or Limits()
        self._s3 = _client("s3", endpoint_url)
        self._clients = [self._s3, _client("sqs", endpoint_url), _client("lambda", endpoint_url)]
        self._inputs = Inputs(self._s3, folders.inputs, read_object)
        self._moto = Moto()
        self._loading: threading.Timer | None = None
        self._callbacks = Callbacks()
        emit, listen = _quietly(emit), _quietly(listen)
        tags = Tags()
        workspace = Workspace(self._s3, self._inputs, containers, self._limits, REGION, ACCOUNT)
        packages = Packages(folders.state / "packages.json", tags, emit)
        known_models = models(tags)
        configs = endpoint_configs(tags, known_models)
        hosting = Hosting(self._s3, containers, folders.servers, known_models, configs, packages)
        pipelines = Pipelines(tags, self._read_text)
        self._jobs = Jobs(workspace, folders.executions / "jobs", tags, emit, listen)
        self._endpoints = Endpoints(hosting, tags, emit, listen)
        self._invocations = Invocations(self._endpoints)
        self._executions = Executions(
            pipelines,
            self._runners(workspace, stopping_seconds),
            self._callbacks,
            folder=folders.executions,
            read_json=self._read_json,
            cache=StepCache(folders.state / "steps.json", lambda uri: bool(list_objects(self._s3, uri))),
            emit=emit,
            listen=listen,
        )
        nouns = (tags, packages, known_models, configs, pipelines, self._jobs, self._endpoints, self._executions)
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {}
        for noun in nouns:
            self._operations |= noun.operations()

    def handle(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an operation by its API name; times are seconds. ApiError when AWS would answer with an error.

        Callable from any thread; InvokeEndpoint waits for its answer, everything else returns at once.
        """
        if operation == "InvokeEndpoint":
            return self._invocations.invoke(request)
        function = self._operations.get(operation)
        if function is None:
            service = _AUTOSCALING if shapes.knows(operation, _AUTOSCALING) else "sagemaker"
            return self._moto.call(service, operation, request)
        shapes.validate(operation, request)
        if operation == "StartPipelineExecution":  # may end with an endpoint that is scaled
            self._load_autoscaling()
        return shapes.answer(operation, function(request))

    def _load_autoscaling(self) -> None:
        if self._loading is None:
            self._loading = threading.Timer(_JOBS_AT_WORK_SECONDS, self._moto.load, [_AUTOSCALING])
            self._loading.daemon = True
            self._loading.start()

    def close(self) -> None:
        """End executions, jobs and servers, and wait until their processes are gone."""
        if self._loading is not None:
            self._loading.cancel()
        seconds = self._limits.grace_seconds + 10
        self._executions.close(seconds)
        self._jobs.close(seconds)
        self._endpoints.close()
        if self._inputs.used:
            self._inputs.prune()
        for client in self._clients:
            client.close()

    def _runners(self, workspace: Workspace, stopping_seconds: float) -> dict[str, StepRunner]:
        _, sqs, functions = self._clients
        jobs = job_runners(
            workspace,
            processing=self._jobs.run_processing,
            training=self._jobs.run_training,
            tuning=self._jobs.run_tuning,
        )
        return {
            **jobs,
            "Lambda": FunctionRunner(functions),
            "RegisterModel": PackageRunner(self.handle, (ApiError,)),
            "Callback": CallbackRunner(sqs, self._callbacks, _CALLBACK_SECONDS, stopping_seconds),
            "Condition": ConditionRunner(),
            "Fail": FailRunner(),
        }

    def _read_json(self, uri: str) -> Any:
        source = S3Uri.parse(uri)
        try:
            return json.load(self._s3.get_object(Bucket=source.bucket, Key=source.key)["Body"])
        except (ClientError, BotoCoreError, ValueError) as error:
            raise StepError(f"{uri} cannot be read as JSON: {error}") from error

    def _read_text(self, bucket: str, key: str) -> str:
        try:
            return str(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8"))
        except (ClientError, BotoCoreError, ValueError) as error:
            raise invalid(f"s3://{bucket}/{key} cannot be read: {error}") from error


def _client(service: str, endpoint_url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,  # ministack takes twelve digits for the account that calls
        aws_secret_access_key="local",  # noqa: S106 - opens nothing
        config=Config(
            # A function that is slow to answer must not be called again.
            retries={"total_max_attempts": 1 if service == "lambda" else 3, "mode": "standard"},
            max_pool_connections=16,
            read_timeout=_LAMBDA_SECONDS if service == "lambda" else 60,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        ),
    )


def _quietly(tell: Callable[..., None]) -> Callable[..., None]:
    """`tell`, whose failure is logged: what happens must not depend on who hears of it."""

    def told(*arguments: Any) -> None:
        try:
            tell(*arguments)
        except Exception:
            _logger.exception("nobody was told of %s", [str(a)[:200] for a in arguments if not isinstance(a, Event)])

    return told


def _tidy(folders: Folders) -> None:
    """Forget what an earlier process left: old executions, trees of killed jobs, servers."""
    shutil.rmtree(folders.servers, ignore_errors=True)
    if folders.executions.is_dir():
        for old in sorted(folders.executions.iterdir(), key=lambda p: p.stat().st_mtime)[:-_KEPT_EXECUTIONS]:
            shutil.rmtree(old, ignore_errors=True)
        for tree in list(folders.executions.glob("**/trees")):
            shutil.rmtree(tree, ignore_errors=True)
