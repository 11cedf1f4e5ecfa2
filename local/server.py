"""The real model server as a process: unpack a model.tar.gz, start `serve`, wait for /ping, ask /invocations."""

import http.client
import json
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
_DRAIN_SECONDS = 10.0
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status code and JSON body."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class RawAnswer:
    """An HTTP answer as it came; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class ModelServer:
    """One running server on loopback. `model_url` is the model.tar.gz it serves."""

    def __init__(self, process: Process, meter: MemoryMeter, tree: Tree, port: int, model_url: str):
        self._process = process
        self._meter = meter
        self._tree = tree
        self._port = port
        self.model_url = model_url

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def peak_mb(self) -> float:
        """Most memory seen so far, in MB of 10^6 bytes."""
        self._process.sample_memory()
        return self._meter.peak_mb

    @property
    def returncode(self) -> int | None:
        """Exit code of its process, None while it runs."""
        return self._process.returncode

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> RawAnswer:
        """POST to /invocations; TimeoutError after 60 s, as long as SageMaker waits, and other OSErrors when the server
        is gone."""
        return self._send("POST", "/invocations", body, headers)

    def predict(self, photo: bytes, name: str) -> Answer:
        """POST a photo to /invocations; its type follows from the extension of `name`."""
        kind = _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
        return self._request("POST", "/invocations", photo, {"Content-Type": kind})

    def wait_until_ready(self, stop: StopSignal) -> None:
        """Return once /ping answers 200; StepError with the end of the log when the server ends or takes a minute."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.returncode is None and not stop.is_set():
            try:
                if self._request("GET", "/ping").status == http.client.OK:
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

    def _request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        answer = self._send(method, path, body, headers or {})
        try:
            return Answer(answer.status, json.loads(answer.body) if answer.body else {})
        except ValueError:
            return Answer(answer.status, {"message": answer.body.decode("utf-8", "replace")[:500]})

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> RawAnswer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_REQUEST_SECONDS)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return RawAnswer(response.status, got, response.read())
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
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> ModelServer:
    """Fetch and unpack `model_url` (s3://.../model.tar.gz) and start `serve` from `image` in a tree under `folder`.

    `port` None: any free one. `environment`: what the model's container is given. The server is not ready yet: see
    `wait_until_ready`.
    """
    tree = Tree(folder / "tree")
    shutil.rmtree(tree.root, ignore_errors=True)
    archive = folder / "model.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    source = S3Uri.parse(model_url)
    s3.download_file(source.bucket, source.key, str(archive))
    unpack(archive, tree.root / "model")
    archive.unlink()
    chosen = port or free_port()
    bind = {"TALLY_BIND_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": str(chosen)}
    meter = MemoryMeter()
    process = Process(
        [*containers.entrypoint(image), "serve"],
        environment=containers.variables(tree, 1, {**(environment or {}), **bind}),
        folder=tree.root,
        log=folder / "server.log",
        meter=meter,
    )
    return ModelServer(process, meter, tree, chosen, model_url)
