"""AWS on loopback: moto's application served by a thread, reached through boto3 with credentials that open nothing.

One emulated account lives in one process: moto's state is global, so starting a second `Cloud` empties the first.
"""

import logging
import threading
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sqs.models import sqs_backends
from werkzeug.serving import make_server

from local.filekeys import FileObjects

ACCOUNT = "123456789012"
REGION = "eu-west-1"
_POLL_SECONDS = 0.02
_CONFIG = Config(
    retries={"max_attempts": 2, "mode": "standard"},
    max_pool_connections=16,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


@dataclass(frozen=True)
class Clients:
    """boto3 clients of the emulated services."""

    s3: Any
    sqs: Any
    sagemaker: Any


class Cloud:
    """S3, SQS and SageMaker's registry on a free loopback port; use as a context manager."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line per request is no help to anybody
        self.objects = FileObjects(ACCOUNT, REGION)

    def __enter__(self) -> "Cloud":
        for backends in (s3_backends, sqs_backends, sagemaker_backends):
            backends.reset()
        # moto's own ThreadedMotoServer, but for one thing: it takes half a second to stop.
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[_POLL_SECONDS], daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.clients = Clients(self._client("s3"), self._client("sqs"), self._client("sagemaker"))
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        for client in (self.clients.s3, self.clients.sqs, self.clients.sagemaker):
            client.close()
        for backends in (s3_backends, sqs_backends, sagemaker_backends):
            backends.reset()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point any AWS SDK here, for Lambda handlers."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def create_bucket(self, name: str) -> None:
        """Create a bucket in the emulated region."""
        self.clients.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def create_queue(self, name: str) -> str:
        """Create a queue and return its URL."""
        return str(self.clients.sqs.create_queue(QueueName=name)["QueueUrl"])

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - opens nothing
            config=_CONFIG,
        )
