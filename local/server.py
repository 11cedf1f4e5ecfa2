"""A model server as a process: unpack a model.tar.gz, start `serve`, wait for /ping, ask /invocations."""

import http.client
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import StepError
from local.jobs.archive import unpack
from local.jobs.containers import Containers
from local.jobs.tree import Tree
from local.jobs.workspace import free_port
from local.memory import MemoryMeter
from local.processes import Process
from local.s3uri import S3Uri
from local.stopping import StopSignal

_START_SECONDS = 60.0
_REQUEST_SECONDS = 60.0  # SageMaker's own limit of /invocations
_PING_SECONDS = 2.0  # and of /ping
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class ModelServer:
    """One running server on loopback."""

    def __init__(self, process: Process, tree: Tree, port: int):
        self._process = process
        self._tree = tree
        self._port = port

    @property
    def returncode(self) -> int | None:
        """Exit code of its process, None while it runs."""
        return self._process.returncode

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST to /invocations; TimeoutError after 60 s, as long as SageMaker waits, and other OSErrors when the server
        is gone."""
        return self._request("POST", "/invocations", _REQUEST_SECONDS, body, headers)

    def wait_until_ready(self, stop: StopSignal) -> None:
        """Return once /ping answers 200; StepError with the end of the log when the server ends or takes a minute."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.returncode is None and not stop.is_set():
            try:
                if self._request("GET", "/ping", _PING_SECONDS).status == http.client.OK:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        how = self._process.exit_text()
        tail = self._process.last_lines()
        raise StepError(f"the model server did not become ready ({how}); last lines:\n{tail}")

    def stop(self) -> None:
        """SIGTERM, time to drain, then the end for certain."""
        self._process.terminate()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._process.returncode is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self._process.finish()
        self._tree.remove()

    def _request(
        self, method: str, path: str, seconds: float, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, got, response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"the model server ended the connection: {error}") from error
        finally:
            connection.close()


def start_server(
    s3: Any,
    model_url: str,
    image: str,
    *,
    containers: Containers,
    folder: Path,
    environment: Mapping[str, str],
) -> ModelServer:
    """Fetch and unpack `model_url` (s3://.../model.tar.gz) and start `serve` from `image` in a tree under `folder`.

    `environment` is what the model's container is given. The server is not ready yet: see `wait_until_ready`.
    """
    tree = Tree(folder / "tree")
    shutil.rmtree(tree.root, ignore_errors=True)
    archive = folder / "model.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    source = S3Uri.parse(model_url)
    s3.download_file(source.bucket, source.key, str(archive))
    unpack(archive, tree.root / "model")
    archive.unlink()
    port = free_port()
    bind = {"TALLY_BIND_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": str(port)}
    process = Process(
        [*containers.entrypoint(image), "serve"],
        environment=containers.variables(tree, 1, {**environment, **bind}),
        folder=tree.root,
        log=folder / "server.log",
        meter=MemoryMeter(),
    )
    return ModelServer(process, tree, port)
