"""The training half of SageMaker's container contract: `docker run IMAGE train`.

Starts one process a GPU (or one on a host without GPUs) on every host of the job, passes SIGTERM on, and leaves the
reason of a failure in `output/failure`. Imports no torch: it must survive whatever kills a rank.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally.cpus import usable_cpus
from tally.errors import TallyError
from tally.paths import MlPaths
from tally.settings import TrainingSettings

STOPPED = 128 + signal.SIGTERM  # the exit code of a run that was asked to stop and can be resumed
_PORT = 29500
_FAILURE_LIMIT = 1024  # characters that SageMaker shows of a failure reason
# glibc gives every large tensor back to the kernel and asks for it again in the next step; zeroing those pages took up
# to half of a training step on CPUs (docs/experiments.md). These keep freed memory, at most what one step needs.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(4 * 1024**3),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 1024**3),
    "MALLOC_TOP_PAD_": str(256 * 1024**2),
}


@dataclass(frozen=True)
class Cluster:
    """The hosts of a training job, as every one of them is told."""

    hosts: tuple[str, ...]
    current: str
    interface: str | None

    @classmethod
    def read(cls, file: Path) -> "Cluster":
        """Read `resourceconfig.json`; a missing file means one host. TallyError when it contradicts itself."""
        if not file.exists():
            return cls(("localhost",), "localhost", None)
        try:
            config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            cluster = cls(tuple(sorted(config["hosts"])), config["current_host"], config.get("network_interface_name"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TallyError(f"resource config '{file}' cannot be read ({error!r}); it must name the hosts") from error
        if cluster.current not in cluster.hosts:
            raise TallyError(f"resource config '{file}': current_host '{cluster.current}' is not in {cluster.hosts}")
        return cluster

    @property
    def index(self) -> int:
        """Position of this host: the node rank."""
        return self.hosts.index(self.current)


def train(paths: MlPaths) -> int:
    """Run the training job of this host; return the exit code. TallyError tells why it failed."""
    cluster = Cluster.read(paths.config / "resourceconfig.json")
    # What is wrong with them is said before a rank is started, which takes seconds.
    processes = TrainingSettings.read(paths.hyperparameters).processes or _gpus() or 1
    error_file = paths.output_data.parent / "rank-error.json"
    error_file.parent.mkdir(parents=True, exist_ok=True)
    error_file.unlink(missing_ok=True)
    environment = os.environ | _environment(cluster, processes) | {"TORCHELASTIC_ERROR_FILE": str(error_file)}
    stopping = False
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        if child:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    with tempfile.TemporaryDirectory(prefix="tally-torchrun-") as logs:  # torchrun leaves its own behind
        child = subprocess.Popen(_command(cluster, processes, logs), env=environment)
        if stopping:  # the signal came while the child was being made
            child.send_signal(signal.SIGTERM)
        code = child.wait()
    # A stop that went wrong (a checkpoint that could not be written) is a failure; torchrun's own word that a signal
    # ended it is not.
    if stopping and not _failed_while_stopping(error_file):
        return STOPPED
    if code:
        raise TallyError(_reason(error_file, code))
    return 0


def _gpus() -> int:
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def _command(cluster: Cluster, processes: int, logs: str) -> list[str]:
    """A plain process where that is enough: torchrun costs seconds and memory."""
    if len(cluster.hosts) * processes == 1:
        return [sys.executable, "-m", "tally.rank"]
    return [
        *(sys.executable, "-m", "tally.torchrun"),
        f"--nnodes={len(cluster.hosts)}",
        f"--node-rank={cluster.index}",
        f"--nproc-per-node={processes}",
        f"--log-dir={logs}",
        f"--master-addr={os.environ.get('MASTER_ADDR', cluster.hosts[0])}",
        f"--master-port={os.environ.get('MASTER_PORT', _PORT)}",
        *("-m", "tally.rank"),
    ]


def _environment(cluster: Cluster, processes: int) -> Mapping[str, str]:
    values = {}
    if "OMP_NUM_THREADS" not in os.environ:
        values["OMP_NUM_THREADS"] = str(max(1, usable_cpus() // processes))
    values |= {name: value for name, value in MALLOC.items() if name not in os.environ}
    if cluster.interface:
        values |= {"GLOO_SOCKET_IFNAME": cluster.interface, "NCCL_SOCKET_IFNAME": cluster.interface}
    return values


def _failed_while_stopping(error_file: Path) -> bool:
    return error_file.exists() and "SignalException" not in error_file.read_text(encoding="utf-8", errors="replace")


def _reason(error_file: Path, code: int) -> str:
    """What the first failing rank said: a message for people, or its traceback."""
    try:
        message = json.loads(error_file.read_text(encoding="utf-8"))["message"]
    except (OSError, ValueError, KeyError):
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"the training process {how} and left no traceback; out of memory is the usual reason: see the job's log"
    if isinstance(message, str):
        return message
    text: str = message["message"]
    marker = f"{TallyError.__name__}: "
    if text.startswith(marker):
        return text.removeprefix(marker)
    return str(message.get("extraInfo", {}).get("py_callstack") or text)


def write_failure(file: Path, reason: str) -> None:
    """Leave `reason` where SageMaker looks; of a long traceback the end counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(reason if len(reason) <= _FAILURE_LIMIT else "..." + reason[3 - _FAILURE_LIMIT :], encoding="utf-8")
