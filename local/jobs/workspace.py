"""What all jobs share, and what each job is given."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.jobs.containers import Containers
from local.jobs.inputs import Inputs
from local.memory import MemoryMeter
from local.stopping import StopSignal


@dataclass(frozen=True)
class Limits:
    """What the laptop allows a job.

    `threads` (per instance, OMP_NUM_THREADS) is fixed rather than the number of idle cores, because sums in another
    order give other losses. `grace_seconds`: between SIGTERM and SIGKILL (SageMaker: 120 for training).
    """

    max_instances: int = 2
    threads: int = 1
    grace_seconds: float = 30.0


@dataclass(frozen=True)
class Workspace:
    """Shared by all jobs: S3, the input cache, what images mean, limits, the memory of all of them together."""

    s3: Any
    inputs: Inputs
    containers: Containers
    limits: Limits
    region: str = "eu-west-1"
    account: str = "123456789012"
    meter: MemoryMeter = field(default_factory=MemoryMeter)

    def arn(self, kind: str, name: str) -> str:
        """ARN of a job, with the name as it is, so that it can be read from there."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def instances(self, wanted: int, note: Callable[[str], None]) -> int:
        """How many instances to start; says so when the laptop starts fewer than asked for."""
        if wanted > self.limits.max_instances:
            note(f"asks for {wanted} instances; the laptop starts {self.limits.max_instances} (setting max-instances)")
        return min(wanted, self.limits.max_instances)


@dataclass(frozen=True)
class JobContext:
    """One job's folder (logs and trees), its stop signal, where its output lines go, and its memory."""

    folder: Path
    stop: StopSignal
    on_line: Callable[[str], None]
    note: Callable[[str], None]
    meter: MemoryMeter = field(default_factory=MemoryMeter)


@dataclass(frozen=True)
class JobResult:
    """A Describe* answer and the most memory that the job's processes held at one time, in MB of 10^6 bytes."""

    describe: Mapping[str, Any]
    peak_mb: float


def hosts(count: int) -> list[str]:
    """Host names as SageMaker gives them."""
    return [f"algo-{number}" for number in range(1, count + 1)]


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
