"""Accounts, and small programs that stand for images."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.jobs.containers import Containers
from tests.local.sagemaker.account import Account

_SERVER = Path(__file__).with_name("model_server.py")


class Image:
    """`train:1` runs a program of the test's own; `serve:1` serves models that say how they behave."""

    def __init__(self, folder: Path):
        self._program = folder / "program.py"
        self.program("print('done')")
        commands = {"train:1": (sys.executable, str(self._program)), "serve:1": (sys.executable, str(_SERVER))}
        self.containers = Containers(commands=commands)

    def program(self, source: str) -> None:
        """What `train:1` runs."""
        self._program.write_text(source)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.fixture
def account(tmp_path: Path, image: Image) -> Iterator[Account]:
    running = Account(tmp_path, image.containers, stopping_seconds=3.0)
    yield running
    running.close()
