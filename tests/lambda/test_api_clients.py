"""Clients of AWS: one of each, made when first needed, for all threads."""

import threading
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest


@pytest.fixture
def clients(load: Any, aws: str) -> ModuleType:
    (module,) = load("api", "aws_clients")
    return module


@pytest.mark.parametrize("service", ["s3", "sagemaker-runtime", "sagemaker"])
def test_a_client_tries_once_within_the_time_of_a_request(clients: ModuleType, service: str) -> None:
    config = clients.client(service).meta.config
    assert config.retries["total_max_attempts"] == 1  # who asks tries again, while there is time
    assert config.connect_timeout + config.read_timeout < 26
    assert config.max_pool_connections == 16
    assert config.tcp_keepalive


def test_a_client_is_made_once_however_many_threads_ask(clients: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    together = threading.Barrier(8, timeout=5)
    found: list[Any] = []

    def make(service: str, **_: Any) -> SimpleNamespace:
        made.append(service)
        time.sleep(0.02)  # boto3 takes longer
        return SimpleNamespace(head_object=object())

    monkeypatch.setattr(boto3, "client", make)

    def ask() -> None:
        together.wait()
        found.append(clients.client("s3").head_object)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["s3"]
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_connections_are_kept_between_requests(predictions: Any, clients: ModuleType) -> None:
    predictions.put("photos/1.jpg")
    real = clients.client("s3")
    predictions.handler.client = {"s3": real, "sagemaker-runtime": predictions.endpoint}.__getitem__
    for _ in range(3):
        assert predictions.ask({"s3_uri": "s3://raw/photos/1.jpg"})[0] == 200
    (pool,) = real._endpoint.http_session._manager.pools._container.values()
    assert pool.num_connections == 1
    assert pool.num_requests == 6  # a HEAD and a GET each
