"""An emulated account and jobs that are small Python programs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.jobs.containers import Containers
from local.jobs.inputs import Inputs
from local.jobs.workspace import JobContext, Limits, Workspace
from local.stopping import StopSignal
from tests.local.moto_cloud import Cloud


@pytest.fixture
def cloud(moto: str) -> Iterator[Cloud]:
    """An account with the empty buckets `raw` and `artifacts`."""
    account = Cloud(moto)
    for bucket in ("raw", "artifacts"):
        account.create_bucket(bucket)
    yield account
    account.close()


@pytest.fixture
def put(cloud: Cloud):
    def put_object(uri: str, body: bytes = b"x") -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        cloud.clients.s3.put_object(Bucket=bucket, Key=key, Body=body)

    return put_object


@pytest.fixture
def get(cloud: Cloud):
    def get_object(uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return cloud.clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    return get_object


class Job:
    """A job's folder, stop signal and what it said."""

    def __init__(self, folder: Path):
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.stop = StopSignal()
        self.folder = folder
        self.context = JobContext(folder, self.stop, self.lines.append, self.notes.append)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


@pytest.fixture
def workspace_for(cloud: Cloud, tmp_path: Path):
    """A workspace whose image `train:1` is the given Python program; its first argument is `train`."""

    def make(program: str = "", *, max_instances: int = 4, grace_seconds: float = 5.0) -> Workspace:
        file = tmp_path / "program.py"
        file.write_text(program)
        containers = Containers(commands={"train:1": (sys.executable, str(file))})
        inputs = Inputs(cloud.clients.s3, tmp_path / "cache")
        return Workspace(cloud.clients.s3, inputs, containers, Limits(max_instances, 1, grace_seconds))

    return make
