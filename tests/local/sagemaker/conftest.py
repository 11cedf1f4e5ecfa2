"""Accounts, and small programs that stand for images."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.jobs.containers import Containers
from tests.local.sagemaker.account import Account

_FAKE_IMAGE = Path(__file__).parents[1] / "fake_image"


class Image:
    """The stand-in image, whose behaviour a test sets, beside `train:1`, which is a program of the test's own."""

    def __init__(self, folder: Path):
        self._folder = folder / "image"
        shutil.copytree(_FAKE_IMAGE, self._folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._program = folder / "program.py"
        self.program("print('done')")
        self.behave()
        commands = {"train:1": (sys.executable, str(self._program))}
        self.containers = Containers(python_path=self._folder, commands=commands)

    def program(self, source: str) -> None:
        """What `train:1` runs."""
        self._program.write_text(source)

    def behave(self, **behaviour: object) -> None:
        """What the stand-in image does."""
        (self._folder / "behaviour.json").write_text(json.dumps({"summary": [], **behaviour}))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.fixture
def account(tmp_path: Path, image: Image) -> Iterator[Account]:
    running = Account(tmp_path, image.containers, stopping_seconds=3.0)
    yield running
    running.close()
