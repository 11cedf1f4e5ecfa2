"""Loads Lambda folders as Lambda does (each folder is a root of its own) and gives them moto's AWS over a socket."""

import importlib
import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDERS = Path(__file__).resolve().parents[2] / "lambda"
EVENTS = Path(__file__).with_name("events")

Load = Callable[..., list[ModuleType]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """`load("deploy", "start", "finish")` imports modules of a folder; they are forgotten after the test.

    A library that other tests imported may have the name of one of them (`schema` is such): it is put aside meanwhile.
    """
    put_aside: dict[str, ModuleType] = {}
    loaded: set[str] = set()

    def load_modules(folder: str, *names: str) -> list[ModuleType]:
        for name in {path.stem for path in (FOLDERS / folder).glob("*.py")} - loaded:
            loaded.add(name)
            if name in sys.modules:
                put_aside[name] = sys.modules.pop(name)
        monkeypatch.syspath_prepend(str(FOLDERS / folder))
        return [importlib.import_module(name) for name in names]

    yield load_modules
    for name in loaded:
        sys.modules.pop(name, None)
    sys.modules.update(put_aside)


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty AWS that boto3 talks to; its address."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    request = urllib.request.Request(f"{moto}/moto-api/reset", method="POST")  # noqa: S310  # our own server
    urllib.request.urlopen(request).close()  # noqa: S310
    return moto


@pytest.fixture
def captured() -> Callable[[str], Any]:
    """An event as AWS sends it, by its name in events/."""
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture
def releases(load: Load, aws: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both release functions over an AWS one can steer."""
    start, finish = load("deploy", "start", "finish")
    return importlib.import_module("tests.lambda.releases").Releases(start, finish, monkeypatch)


@pytest.fixture
def internet() -> Iterator[Any]:
    """Names and remotes of one test (remotes.py). In the end no address that is not public was connected to."""
    made = importlib.import_module("tests.lambda.remotes").Internet()
    yield made
    made.close()
    assert not made.inside


@pytest.fixture
def client(load: Load, internet: Any) -> Any:
    """The fetcher on that internet (remotes.py)."""
    fetch, deadline = load("api", "fetch", "deadline")
    return importlib.import_module("tests.lambda.remotes").Client(fetch, deadline, internet)


@pytest.fixture
def predictions(load: Load, aws: str, captured: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function that counts over a small web, a real S3 and an endpoint one can steer."""
    (handler,) = load("api", "handler")
    module = importlib.import_module("tests.lambda.predictions")
    made = module.Predictions(handler, monkeypatch, captured("api_json"))
    yield made
    made.close()
