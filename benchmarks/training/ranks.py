"""Training jobs side by side, with different numbers of ranks, that take turns.

All are stopped but for one, which trains an epoch: a machine's speed changes within a minute by more than ranks cost.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.errors import BenchError
from benchmarks.modules import ROOT, Say
from benchmarks.training.prepare import SHARDS, VALIDATION

_EPOCHS = 1000  # more than are measured
_END_SECONDS = 60.0


class Job:
    """A real job, `python -m tally train`, which trains while `epoch` waits for it and is stopped otherwise."""

    def __init__(self, process: "subprocess.Popen[str]", name: str, errors: Path) -> None:
        self._process, self._name, self._errors = process, name, errors

    def epoch(self) -> float:
        """Train a whole epoch: photos/s by the trainer's own clock; BenchError with what the job said when it ends.

        Where the job was stopped after the next epoch had begun, the trainer's clock went on: that one does not count.
        """
        assert self._process.stdout  # noqa: S101 - a pipe
        began = time.monotonic()
        _tell(self._family(), signal.SIGCONT)
        for line in self._process.stdout:
            if line.startswith("epoch="):
                found = {name: float(value) for name, value in (word.split("=") for word in line.split())}
                if found["seconds"] <= time.monotonic() - began:
                    _tell(self._family(), signal.SIGSTOP)
                    return found["photos_per_second"]
        raise BenchError(f"{self._name} failed: {self._errors.read_text(encoding='utf-8').strip()[-800:]}")

    def end(self) -> None:
        """End the job by SIGTERM, as SageMaker does, so that it tidies up; kill it when that takes a minute."""
        family = self._family()
        self._process.terminate()
        _tell(family, signal.SIGCONT)
        try:
            self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            _tell(family, signal.SIGKILL)
            self._process.communicate()

    def _family(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _tell(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextmanager
def training(folder: Path, hyperparameters: Mapping[str, str], processes: int) -> Iterator[Job]:
    """A job on what `prepare` made in `folder`, a trial of a tuning job, which exports nothing. It has begun."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        config, data = root / "input" / "config", root / "input" / "data"
        for made in (config, data):
            made.mkdir(parents=True)
        (data / "train").symlink_to((folder / SHARDS).resolve())
        (data / "validation").symlink_to((folder / VALIDATION).resolve())
        asked = {"_tuning_objective_metric": "best_validation_accuracy", "epochs": str(_EPOCHS)}
        text = json.dumps({**asked, **hyperparameters, "processes": str(processes)})
        (config / "hyperparameters.json").write_text(text, encoding="utf-8")
        errors = root / "stderr"
        with errors.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tally", "train"],
                env={**_inherited(), "TALLY_ML_ROOT": name, "PYTHONPATH": str(ROOT / "model_code")},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        job = Job(process, f"the job with {processes} ranks", errors)
        try:
            yield job
        finally:
            job.end()


def photos_per_second(
    folder: Path, hyperparameters: Mapping[str, str], counts: Sequence[int], rounds: int, say: Say
) -> dict[int, list[float]]:
    """By number of ranks a figure a round, of two epochs: jobs take turns in one order and then in the other."""
    found: dict[int, list[float]] = {count: [] for count in counts}
    with ExitStack() as stack:
        jobs = {}
        for count in counts:
            jobs[count] = stack.enter_context(training(folder, hyperparameters, count))
            jobs[count].epoch()  # warms up
        for _ in range(rounds):
            there = {count: job.epoch() for count, job in jobs.items()}
            back = {count: job.epoch() for count, job in reversed(jobs.items())}
            for count, figures in found.items():
                figures.append(statistics.harmonic_mean([there[count], back[count]]))
            say("; ".join(f"{count} ranks: {figures[-1]:.1f} photos/s" for count, figures in found.items()))
    return found


def _inherited() -> dict[str, str]:
    """Threads are the job's own affair."""
    return {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MASTER_PORT")}
