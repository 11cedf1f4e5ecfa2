"""S3, SQS and SageMaker's registry on loopback, for tests of parts: moto's own server, emptied for each test."""

import urllib.request
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

REGION = "eu-west-1"
_CONFIG = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")


@dataclass(frozen=True)
class Clients:
    """boto3 clients of the emulated services."""

    s3: Any
    sqs: Any
    sagemaker: Any


class Cloud:
    """An empty account on moto's server at `endpoint`."""

    def __init__(self, endpoint: str):
        request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")  # noqa: S310  # our own server
        urllib.request.urlopen(request).close()  # noqa: S310
        self.endpoint = endpoint
        self.clients = Clients(self._client("s3"), self._client("sqs"), self._client("sagemaker"))

    def create_bucket(self, name: str) -> None:
        """Create a bucket in the emulated region."""
        self.clients.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def create_queue(self, name: str) -> str:
        """Create a queue and return its URL."""
        return str(self.clients.sqs.create_queue(QueueName=name)["QueueUrl"])

    def close(self) -> None:
        """Close the clients' sockets."""
        for client in (self.clients.s3, self.clients.sqs, self.clients.sagemaker):
            client.close()

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=_CONFIG,
        )
