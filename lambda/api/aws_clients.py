"""Clients of AWS: made when first needed, then kept with their connections for all later requests."""

import threading
from typing import Any

_READ_SECONDS = {"s3": 10, "sagemaker-runtime": 20, "sagemaker": 5}
_clients: dict[str, Any] = {}
_lock = threading.Lock()  # boto3's way to make a client is not safe between threads; using one is


def client(service: str) -> Any:
    """The client of "s3", "sagemaker-runtime" or "sagemaker". It tries once: who waits knows whether there is time."""
    with _lock:
        if service not in _clients:
            _clients[service] = _make(service)
        return _clients[service]


def _make(service: str) -> Any:
    import boto3  # here, so that a request which needs no client does not wait a second for it
    from botocore.config import Config

    config = Config(
        connect_timeout=3,
        read_timeout=_READ_SECONDS[service],
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=16,
        tcp_keepalive=True,
    )
    return boto3.client(service, config=config)
