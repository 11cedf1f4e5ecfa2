"""How much of `make run` is not a job: the engine, the emulated account, `cdk deploy`, uploads: `make bench ONLY=run`.

    python -m benchmarks.local_run --rounds 5

Each round is a whole run in a folder of its own, watched from outside: a moment belongs to jobs when a process of one
of them is there. Needs a quiet machine. Writes build/benchmarks/run.json and run.md.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.in_turns import markdown, spread
from benchmarks.modules import ROOT, progress
from benchmarks.options import at_least
from benchmarks.outcome import publish
from local.processes import MARK

_EVERY = 0.2  # seconds between two looks, each of which takes some of the run's CPUs


@dataclass(frozen=True)
class Seconds:
    """Of one run: before its first job, with a job at work, between jobs, and after the last one."""

    before: float
    jobs: float
    between: float
    after: float

    @property
    def total(self) -> float:
        """From the start of the command to its end."""
        return self.before + self.jobs + self.between + self.after

    @property
    def overhead(self) -> float:
        """Share of the total in which no job was at work."""
        return 1 - self.jobs / self.total


def divided(began: float, looks: list[tuple[float, bool]], ended: float) -> Seconds:
    """Seconds of a run from `looks`: a time and whether a job was at work from then until the next look.

    BenchError when no look saw a job.
    """
    until = [at for at, _ in looks[1:]] + [ended]
    busy = [(at, end) for (at, at_work), end in zip(looks, until, strict=True) if at_work]
    if not busy:
        raise BenchError("the run had no job: it took all steps from its cache, or failed before the first one")
    jobs = sum(end - at for at, end in busy)
    first, last = busy[0][0], busy[-1][1]
    return Seconds(first - began, jobs, last - first - jobs, ended - last)


def watched(words: list[str]) -> Seconds:
    """Run `python -m local run` with `words` to its end; BenchError with its last words when it fails."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "local", "run", "--build", name, *words]
        log = Path(name, "run.log")
        looks: list[tuple[float, bool]] = []
        with log.open("wb") as said:
            began = time.monotonic()
            run = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            try:
                while run.poll() is None:
                    looks.append((time.monotonic(), job_at_work(run.pid)))
                    time.sleep(_EVERY)
            finally:
                run.terminate()
                run.wait()
        ended = time.monotonic()
        if run.returncode:
            raise BenchError(f"make run ended with {run.returncode}: {log.read_text('utf-8', 'replace')[-800:]}")
        return divided(began, looks, ended)


def job_at_work(run: int) -> bool:
    """Whether a job runs below the process `run`.

    A job's processes carry its tree in the environment; so does the endpoint, which is no job.
    """
    with contextlib.suppress(psutil.Error):
        return any(map(_is_job, psutil.Process(run).children(recursive=True)))
    return False


def _is_job(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return MARK in process.environ() and "serve" not in process.cmdline()
    return False


def table(rounds: list[Seconds]) -> str:
    """Markdown: seconds of each part, medians with the range of the rounds."""
    head = ["", "s"]
    rows = [
        [name, spread([getattr(each, name) for each in rounds], 1)] for name in ("before", "jobs", "between", "after")
    ]
    return markdown(head, [*rows, ["total", spread([each.total for each in rounds], 1)]])


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    parser = ArgumentParser(prog="python -m benchmarks.local_run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample-photos", type=int, help="so many instead of those of make run")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args(arguments)
    at_least(parser, options, rounds=1, sample_photos=1)
    say, here = progress(time.monotonic()), machine.describe()
    words = ["--sample-photos", str(options.sample_photos)] if options.sample_photos else []
    found: list[Seconds] = []
    try:
        for number in range(options.rounds):
            found.append(watched(words))
            say(f"run {number + 1}: {found[-1].total:.0f} s, {found[-1].overhead:.0%} of it outside jobs")
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shares = [each.overhead for each in found]
    what = f"`make run` on {options.sample_photos or 'its'} sample photos, each in a new folder"
    said = f"- outside jobs: {statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}) of the time"
    text = f"{what}; {machine.line(here)}; {len(found)} rounds. Medians (least to most).\n\n{table(found)}\n\n{said}"
    publish(options.out, "run", {"machine": here, "runs": [asdict(each) for each in found], "outside": shares}, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
