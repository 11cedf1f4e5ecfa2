"""An account whose SageMaker is the emulated one, behind the emulator's own gateway on a real socket.

moto answers for S3 and SQS; Lambda is a table of Python functions by ARN.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import uvicorn
from botocore.config import Config
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client
from werkzeug.wrappers import Response

from local.emulator.gateway import Gateway
from local.jobs.containers import Containers
from local.jobs.workspace import Limits, free_port
from local.sagemaker.service import Folders, SageMaker
from tests.local import requests

ROLE = "arn:aws:iam::123456789012:role/jobs"
_FUNCTIONS = "/2015-03-31/functions/"
_CONFIG = Config(
    retries={"max_attempts": 1},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path"},
)


class Account:
    """boto3 clients of it, the events it sent, and its stand-in functions. `close` ends everything."""

    def __init__(self, folder: Path, containers: Containers, **more: Any):
        self.folder = folder
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.functions: dict[str, Callable[[Any], Any]] = {}
        self._port = free_port()
        self.url = f"http://localhost:{self._port}"
        folders = Folders(folder / "executions", folder / "servers", folder / "state", folder / "inputs")
        self.service = SageMaker(
            self.url,
            containers,
            folders,
            limits=Limits(max_instances=1, grace_seconds=5.0),
            emit=lambda _source, kind, detail, _resources: self.events.append((kind, detail)),
            **more,
        )
        self._moto = Client(DomainDispatcherApplication(create_backend_app))
        self._moto.post("/moto-api/reset")
        self._server = _Server(Gateway(self.service, self._rest), self._port)
        self.clients: list[Any] = []
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self.s3 = self.client("s3")
        self.sqs = self.client("sqs")
        for bucket in ("raw", "artifacts"):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

    def client(self, service: str) -> Any:
        """A boto3 client of this account."""
        key = {"aws_access_key_id": "123456789012", "aws_secret_access_key": "local"}
        client = boto3.client(service, endpoint_url=self.url, region_name="eu-west-1", config=_CONFIG, **key)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """End all that runs."""
        self.service.close()
        for client in self.clients:
            client.close()
        self._server.close()

    def put(self, uri: str, body: bytes = b"x") -> None:
        """Put an S3 object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def receive(self, queue: str) -> dict[str, Any]:
        """The next message of a queue, taken from it."""

        def message() -> dict[str, Any] | None:
            for found in self.sqs.receive_message(QueueUrl=queue).get("Messages", []):
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=found["ReceiptHandle"])
                return json.loads(found["Body"])
            return None

        return until(message)

    def start(self, pipeline: str = "p", **parameters: str) -> str:
        """Start an execution."""
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        return self.sagemaker.start_pipeline_execution(PipelineName=pipeline, PipelineParameters=given)[
            "PipelineExecutionArn"
        ]

    def create_pipeline(self, *steps: dict[str, Any], name: str = "p", parameters: tuple = ()) -> None:
        """Create a pipeline of these steps."""
        self.sagemaker.create_pipeline(
            PipelineName=name, RoleArn=ROLE, PipelineDefinition=definition(*steps, parameters=parameters)
        )

    def status(self, execution: str) -> str:
        """Status of an execution."""
        return self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"]

    def ended(self, execution: str) -> str:
        """Wait for the end of an execution and return its status."""
        return until(lambda: s if (s := self.status(execution)) not in ("Executing", "Stopping") else None)

    def steps(self, execution: str) -> dict[str, dict[str, Any]]:
        """Steps of an execution by name."""
        listed = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def told(self, words: str) -> list[dict[str, Any]]:
        """Details of the events whose type contains these words."""
        return [detail for kind, detail in list(self.events) if words in kind]

    async def _rest(self, scope: Any, receive: Any, send: Any) -> None:
        """What is not SageMaker: Lambda's Invoke from the table, all else from moto."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        request = {
            "method": scope["method"],
            "path": scope["raw_path"].decode("latin-1"),
            "query_string": scope["query_string"].decode("latin-1"),
            "headers": headers,
            "data": body,
        }
        response = await asyncio.get_running_loop().run_in_executor(None, self._answer, request)
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status_code, "headers": pairs})
        if scope["method"] != "HEAD":
            await send({"type": "http.response.body", "body": response.get_data()})

    def _answer(self, request: dict[str, Any]) -> Any:
        if not request["path"].startswith(_FUNCTIONS):
            return self._moto.open(**request)
        arn = unquote(request["path"]).removeprefix(_FUNCTIONS).removesuffix("/invocations")
        if arn not in self.functions:
            told = {"Type": "User", "Message": f"Function not found: {arn}"}
            return Response(json.dumps(told), 404, {"x-amzn-ErrorType": "ResourceNotFoundException"})
        try:
            return Response(json.dumps(self.functions[arn](json.loads(request["data"]))))
        except Exception as error:
            told = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return Response(json.dumps(told), headers={"X-Amz-Function-Error": "Unhandled"})


class _Server:
    """uvicorn in a thread."""

    def __init__(self, application: Any, port: int):
        config = uvicorn.Config(application, port=port, ws="none", log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until(lambda: _answers(port))

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first answer of `look` that is not None or False."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.03)
    raise AssertionError(f"nothing came within {seconds:g} seconds")


def definition(*steps: dict[str, Any], parameters: tuple = ()) -> str:
    """A pipeline definition as text."""
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def processing(name: str, program: str = "print('ok')", **more: Any) -> dict[str, Any]:
    """A processing step; `change` replaces arguments."""
    arguments = {k: v for k, v in requests.processing(program).items() if k != "ProcessingJobName" and v != []}
    return {"Name": name, "Type": "Processing", "Arguments": {**arguments, **more.pop("change", {})}, **more}


def training(name: str, **more: Any) -> dict[str, Any]:
    """A training step of image `train:1`."""
    arguments = {k: v for k, v in requests.training().items() if k != "TrainingJobName" and v != []}
    return {"Name": name, "Type": "Training", "Arguments": arguments, **more}
