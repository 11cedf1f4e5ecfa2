"""Clients of AWS: made by the first call of any request, then kept with their connections for all later ones."""

import threading
from typing import Any


class Client:
    """Stands for boto3's client of a service until an operation of it is called, which makes the client.

    So a request that is refused before AWS is asked does not wait a second for boto3, and one that is not waits within
    the deadline that its calls have. The client tries once: who calls knows whether there is time to try again.
    """

    def __init__(self, service: str, read_seconds: int) -> None:
        self._service = service
        self._read_seconds = read_seconds
        self._made: Any = None
        self._lock = threading.Lock()  # boto3's way to make a client is not safe between threads; using one is

    def __getattr__(self, operation: str) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, operation)

    def _make(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=3,
            read_timeout=self._read_seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=16,
            tcp_keepalive=True,
        )
        return boto3.client(self._service, config=config)


_CLIENTS = {
    "s3": Client("s3", read_seconds=10),
    "sagemaker-runtime": Client("sagemaker-runtime", read_seconds=20),
    "sagemaker": Client("sagemaker", read_seconds=5),
}


def client(service: str) -> Any:
    """The one client of "s3", "sagemaker-runtime" or "sagemaker"."""
    return _CLIENTS[service]
