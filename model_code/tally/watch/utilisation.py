"""What the machine does while it trains: CPUs, memory and GPUs, every few seconds, from a thread.

The job's own processes are counted: this one with its loader workers, and under torchrun the other ranks of this
host. Other hosts are not seen. `torch.cuda.utilization` needs nvidia-ml-py; without it the share of time that GPUs
are busy is left out, and the record says so.
"""

import contextlib
import importlib.util
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import torch

from tally.cpus import usable_cpus

COLUMNS = ("seconds", "cpus", "memory", "gpu", "gpu_memory")
_KEPT = 240  # samples: with more, each two become one and the pace halves
_GIB = 2**30
_UNSEEN = (psutil.Error, OSError, RuntimeError)  # a process ended while it was looked at, or a driver does not answer


class Utilisation:
    """Samples while the block lasts. Rows are `COLUMNS`: seconds since the run's start, CPUs in use, memory in GiB,
    share of time GPUs were busy (mean over this host's), share of their memory in use; None where nothing is known."""

    def __init__(self, every: float = 2.0, kept: int = _KEPT) -> None:
        self._every, self._kept, self._before = every, kept, 0.0
        self._samples: list[list[float | None]] = []
        self._spent: dict[int, float] = {}
        self._busy_known = torch.cuda.is_available() and importlib.util.find_spec("pynvml") is not None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        root = psutil.Process()
        self._root = (root.parent() or root) if "TORCHELASTIC_RUN_ID" in os.environ else root

    def __enter__(self) -> "Utilisation":
        self._end.clear()
        self._started = time.monotonic()
        self._cpu_seconds()
        self._thread = threading.Thread(target=self._watch, name="utilisation", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread:
            self._thread.join()
            if not self._samples:  # over before the first was due
                now = time.monotonic()
                with contextlib.suppress(*_UNSEEN):
                    self._add(now, now - self._started)
        self._thread = None

    def state(self) -> dict[str, Any]:
        """Plain data: what a checkpoint keeps and a report shows."""
        return {
            "columns": list(COLUMNS),
            "samples": [list(row) for row in self._samples],
            "every": self._every,
            "cpus": usable_cpus(),
            "memory": memory_limit() / _GIB,
            "gpus": torch.cuda.device_count(),
            "gpu_busy_known": self._busy_known,
        }

    def go_on_from(self, state: dict[str, Any]) -> None:
        """Continue the samples of an earlier part of the run."""
        self._samples = [list(row) for row in state["samples"]]
        self._every = state["every"]
        self._before = float(self._samples[-1][0] or 0) if self._samples else 0.0

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._end.wait(self._every):
            now = time.monotonic()
            try:
                self._add(now, now - last)
            except _UNSEEN:
                continue  # the next sample will do
            last = now

    def _add(self, now: float, passed: float) -> None:
        busy, used = self._gpus()
        row = [self._before + now - self._started, self._cpu_seconds() / passed, self._memory(), busy, used]
        self._samples.append([None if value is None else round(value, 3) for value in row])
        if len(self._samples) >= self._kept:
            pairs = zip(self._samples[::2], self._samples[1::2], strict=False)
            self._samples = [[_mean(*values) for values in zip(*pair, strict=True)] for pair in pairs]
            self._every *= 2

    def _processes(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def _cpu_seconds(self) -> float:
        """CPU seconds that the processes spent since the last call; an ended one loses what it spent last."""
        spent = {}
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent[process.pid] = times.user + times.system
        added = sum(seconds - self._spent.get(pid, 0.0) for pid, seconds in spent.items())
        self._spent = spent
        return max(0.0, added)

    def _memory(self) -> float:
        """GiB: what each process has alone, and once what they share (mapped shards, forked pages are near it)."""
        alone, shared = 0, 0
        for process in self._processes():
            try:
                info = process.memory_info()
            except psutil.Error:
                continue
            alone += info.rss - info.shared
            shared = max(shared, info.shared)
        return (alone + shared) / _GIB

    def _gpus(self) -> tuple[float | None, float | None]:
        """Share of time busy and share of memory in use, means over the GPUs of this host.

        Without nvidia-ml-py only this rank's memory is known: asking CUDA about another GPU would open a context there.
        """
        gpus = range(torch.cuda.device_count())
        if not gpus:
            return None, None
        if not self._busy_known:
            free, total = torch.cuda.mem_get_info()
            return None, 1 - free / total
        used = [torch.cuda.device_memory_used(gpu) / torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus]
        return sum(torch.cuda.utilization(gpu) for gpu in gpus) / 100 / len(gpus), sum(used) / len(gpus)


def memory_limit(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this container may use: its cgroup's limit, else the machine's memory."""
    machine = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # version 2, version 1
        try:
            return min(machine, int((group / name).read_text()))
        except (OSError, ValueError):
            continue
    return machine


def _mean(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return None
    return round((first + second) / 2, 3)
