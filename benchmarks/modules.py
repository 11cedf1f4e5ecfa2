"""Runs modules of ours as processes of their own, as measurements need them, and says how far a run is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.errors import BenchError

ROOT = Path(__file__).resolve().parents[1]
_SPARE_SECONDS = 600.0  # on top of the time that a module is expected to take
Say = Callable[[str], None]


def environment() -> dict[str, str]:
    """The variables of a process of ours, which finds our packages."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'model_code'}{os.pathsep}{ROOT}"}


def run_module(name: str, *words: str, seconds: float = 0.0, variables: Mapping[str, str] | None = None) -> str:
    """What a module of ours prints that is expected to take about `seconds`; BenchError with what went wrong.

    `variables` are put into its environment.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.child", name, *words],
            cwd=ROOT,
            env={**environment(), **(variables or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _SPARE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{name} had not ended {_SPARE_SECONDS:g} s after its time") from error
    if done.returncode:
        raise BenchError(done.stderr.strip()[-800:] or f"{name} ended with {done.returncode}")
    return done.stdout


def progress(began: float) -> Say:
    """Lines with the seconds since `began`, on stderr: stdout is for the table."""

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:7.1f} s] {text}", file=sys.stderr, flush=True)

    return say
