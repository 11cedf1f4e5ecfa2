"""The scripted server, a client of it, and waits that take no time."""

from collections.abc import Iterator

import pytest

from tally_client import Client, client
from tests.clients.server import Server

KEY = "secret-key-0123456789"


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def tally(server: Server) -> Iterator[Client]:
    with Client(server.url, KEY) as found:
        yield found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between tries are written down instead."""
    found: list[float] = []
    monkeypatch.setattr(client.time, "sleep", found.append)
    return found
