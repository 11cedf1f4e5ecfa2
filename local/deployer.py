"""Stands in for the serving stack: takes deploy requests from the queue, puts the model into service, answers the
token.

The same order as in the cloud: refuse a package without a promoting verdict, start the new server beside the old one,
smoke-test it, only then approve the package, retire the old server and report success. On failure the package stays
unapproved and the model in service stays in service.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.callbacks import Callbacks
from local.errors import StepError
from local.events import Event, Listener
from local.jobs.containers import Containers
from local.server import ModelServer, start_server
from local.stopping import StopSignal

ENDPOINT_NAME = "tally-laptop"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class DeployerSettings:
    """Where requests come from and what a served model is tested with: `smoke_photo()` gives (bytes, file name)."""

    queue_url: str
    image: str
    folder: Path
    smoke_photo: Callable[[], tuple[bytes, str]]
    port: int | None = None


class Deployer:
    """A thread that deploys. `server` is the model in service, if any; `package_arn` the package it came from."""

    def __init__(
        self, clients: Any, callbacks: Callbacks, containers: Containers, settings: DeployerSettings, listen: Listener
    ):
        self._clients = clients
        self._callbacks = callbacks
        self._containers = containers
        self._settings = settings
        self._listen = listen
        self._stop = StopSignal()
        self._thread = threading.Thread(target=self._serve_queue, name="deployer", daemon=True)
        self._started = 0
        self.server: ModelServer | None = None
        self.package_arn: str | None = None

    def start(self) -> None:
        """Begin to watch the queue."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and end the server."""
        self._stop.set("the run ended")
        if self._thread.is_alive():
            self._thread.join()
        if self.server is not None:
            self.server.stop()
            self.server = None

    def put_in_service(self, model_url: str, package_arn: str | None) -> ModelServer:
        """Start a server for a model, smoke-test it and let it replace the one in service; StepError when it fails."""
        self._started += 1
        settings = self._settings
        server = start_server(
            self._clients.s3,
            model_url,
            settings.image,
            containers=self._containers,
            folder=settings.folder / f"server-{self._started}",
            port=None if self.server else settings.port,
        )
        try:
            server.wait_until_ready(self._stop)
            self._smoke_test(server)
        except StepError:
            server.stop()
            raise
        if self.server is not None:
            self.server.stop()
        self.server, self.package_arn = server, package_arn
        return server

    def _smoke_test(self, server: ModelServer) -> None:
        photo, name = self._settings.smoke_photo()
        answer = server.predict(photo, name)
        if answer.status != 200 or answer.body.get("count") not in range(1, 6):
            raise StepError(f"the smoke test with {name} was answered {answer.status} {answer.body}")
        self._listen(Event("progress", "Deploy", f"smoke test: count {answer.body['count']} at {server.url}"))

    def _serve_queue(self) -> None:
        queue = {"QueueUrl": self._settings.queue_url}
        while not self._stop.wait(_POLL_SECONDS):
            for message in self._clients.sqs.receive_message(**queue).get("Messages", []):
                self._handle(json.loads(message["Body"]))
                self._clients.sqs.delete_message(**queue, ReceiptHandle=message["ReceiptHandle"])

    def _handle(self, message: Mapping[str, Any]) -> None:
        token, arn = message["token"], message["arguments"]["model_package_arn"]
        reason = self._try_to_deploy(arn)
        try:
            if reason is None:
                self._callbacks.success(token, {"endpoint_name": ENDPOINT_NAME, "model_package_arn": arn})
            else:
                name = arn.rpartition("model-package/")[2]
                self._listen(Event("note", "Deploy", f"{name} was not deployed: {reason}"))  # the token's reason is cut
                self._callbacks.failure(token, f"{name} was not deployed: {reason}")
        except KeyError as error:
            self._listen(Event("note", "Deploy", f"the answer came too late: {error.args[0]}"))

    def _try_to_deploy(self, arn: str) -> str | None:
        try:
            self._deploy(arn)
        except (StepError, ClientError, BotoCoreError, OSError) as error:
            return str(error)
        return None

    def _deploy(self, arn: str) -> None:
        sagemaker = self._clients.sagemaker
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        metadata = package.get("CustomerMetadataProperties", {})
        verdict = metadata.get("verdict")
        if verdict != "promote":
            raise StepError(f"its gate verdict is {verdict!r}, and only 'promote' is deployed")
        container = package["InferenceSpecification"]["Containers"][0]
        self.put_in_service(container["ModelDataUrl"], arn)
        # moto replaces the metadata with what an update does not mention, so the update repeats it.
        sagemaker.update_model_package(
            ModelPackageArn=arn,
            ModelApprovalStatus="Approved",
            ApprovalDescription="smoke test passed on the laptop",
            CustomerMetadataProperties=metadata,
        )
