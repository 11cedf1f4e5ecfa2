"""One process per job instance: started in its own session, logged line by line, ended for certain.

A container's processes all end with it. Here every process of an instance carries one environment variable with the
private tree's path, so that whatever it started (torchrun puts workers into sessions of their own) is found and ended
with it.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from local.memory import MemoryMeter, memory_of
from local.stopping import StopSignal

MARK = "TALLY_ML_ROOT"
_POLL_SECONDS = 0.05
_SAMPLE_SECONDS = 0.5
_SAMPLE_SHARE = 0.01  # of one core's time: reading the page tables of a large process takes tens of milliseconds


class Process:
    """A running instance. `on_line` sees each line of its output (stdout and stderr), which also goes to `log`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        meter: MemoryMeter,
        on_line: Callable[[str], None] = lambda _line: None,
    ):
        self.name = log.stem
        self._meter = meter
        self._mark = environment[MARK]
        self._on_line = on_line
        self._last: deque[str] = deque(maxlen=40)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the instance's first process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, minus the signal's number, or None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 12) -> str:
        """The end of its log."""
        return "\n".join(list(self._last)[-count:])

    def exit_text(self) -> str:
        """How it ended, in words."""
        code = self.returncode
        if code is None:
            return "still running"
        return f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"

    def terminate(self) -> None:
        """SIGTERM to the first process, as `docker stop` does."""
        if self.returncode is None:
            self._process.terminate()

    def finish(self) -> None:
        """End whatever is left of the instance, wait for it and close the log."""
        for process in [*marked(self._mark)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.returncode is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        self._meter.hold(self.pid, 0)

    def sample_memory(self) -> None:
        """Tell the meter what the process and its descendants hold, a page that several share counted once."""
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.pid)
            self._meter.hold(self.pid, sum(map(memory_of, [first, *first.children(recursive=True)])))

    def _read(self, log: Path) -> None:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - Popen was asked for a pipe
        with stream, log.open("ab") as file:
            for raw in stream:
                file.write(raw)
                file.flush()
                line = raw.decode("utf-8", "replace").rstrip("\n")
                self._last.append(line)
                self._on_line(line)


def marked(tree: str) -> list[psutil.Process]:
    """Return the processes of this user that carry `tree` in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == tree:
                found.append(process)
    return found


def run_together(
    processes: Sequence[Process], *, stop: StopSignal, max_seconds: float, grace_seconds: float
) -> tuple[str, list[Process]]:
    """Wait for all instances of a job; when one fails, end the others.

    Returns `completed`, `failed`, `stopped` or `timeout`, and the instances that had failed before any was told to end.
    """
    ending, failed = "completed", list[Process]()
    deadline, next_sample = time.monotonic() + max_seconds, 0.0
    try:
        while any(p.returncode is None for p in processes):
            failed = [p for p in processes if p.returncode not in (None, 0)]
            if failed or stop.is_set() or time.monotonic() > deadline:
                break
            if time.monotonic() >= next_sample:
                began = time.monotonic()
                for process in processes:
                    process.sample_memory()
                cost = time.monotonic() - began
                next_sample = began + max(_SAMPLE_SECONDS, cost / _SAMPLE_SHARE)
            time.sleep(_POLL_SECONDS)
        failed = failed or [p for p in processes if p.returncode not in (None, 0)]
        if any(p.returncode is None for p in processes):
            ending = "failed" if failed else "stopped" if stop.is_set() else "timeout"
            _end(processes, grace_seconds)
        elif failed:
            ending = "stopped" if stop.is_set() else "failed"
    finally:
        for process in processes:
            process.finish()
    return ending, failed


def _end(processes: Sequence[Process], grace_seconds: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_seconds
    while any(p.returncode is None for p in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
