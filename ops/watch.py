"""Follows a run to its end: a live table in a terminal, one line per change anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops import runs
from ops.account import Account
from ops.runs import Run, Step

EXIT_CODES = {"succeeded": 0, "refused": 0, "failed": 1, "stopped": 130}
_STYLES = {
    "Succeeded": "green",
    "cached": "green",
    "Failed": "bold red",
    "refused": "yellow",
    "Stopped": "yellow",
    "Stopping": "yellow",
    "Executing": "cyan",
    "Starting": "cyan",
}

Show = Callable[[Run], None]


def follow(account: Account, arn: str, show: Show, *, every: float | None = None) -> Run:
    """Show the run after every look at it until it has ended; the run as it ended.

    `every`: seconds between looks; without it 10 on AWS, whose API throttles, and 1 on the laptop.
    """
    pause = every if every is not None else (1.0 if account.endpoint_url else 10.0)
    while True:
        run = runs.describe(account, arn)
        show(run)
        if run.outcome != "running":
            return run
        time.sleep(pause)


def watch(account: Account, arn: str, stream: TextIO, *, every: float | None = None) -> Run:
    """Follow the run on `stream` until it has ended."""
    with display(stream) as show:
        return follow(account, arn, show, every=every)


@contextmanager
def display(stream: TextIO) -> Iterator[Show]:
    """What shows a run: a table that is redrawn when `stream` is a terminal, else lines."""
    if not stream.isatty():
        yield Lines(stream)
        return
    with Live(console=Console(file=stream), refresh_per_second=4) as live:
        yield lambda run: live.update(table(run))


def table(run: Run) -> Table:
    """The run's steps: name, status, seconds, what it does or why it failed."""
    title = f"{run.id}: {run.outcome}" + (
        f" on {run.parameters['InputPrefix']}" if "InputPrefix" in run.parameters else ""
    )
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    shown.add_column("step")
    shown.add_column("status")
    shown.add_column("seconds", justify="right")
    shown.add_column("", overflow="fold")
    for step in run.steps:
        word = status_word(step)
        seconds = "" if step.seconds is None else f"{step.seconds:.0f}"
        shown.add_row(step.name, Text(word, _STYLES.get(word, "")), seconds, Text(step.reason or step.detail))
    return shown


def status_word(step: Step) -> str:
    """One word for how a step stands."""
    if step.cached and step.status == "Succeeded":
        return "cached"
    return "refused" if step.is_refusal and step.status == "Failed" else step.status


class Lines:
    """`[ 12.3 s] Step: status in 4.2 s: reason`, printed whenever a step changes or its job says something new."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._began = time.monotonic()
        self._last: dict[str, tuple[str, str]] = {}

    def __call__(self, run: Run) -> None:
        """Print what changed since the last call."""
        for step in run.steps:
            now = (status_word(step), step.reason or step.detail)
            if self._last.get(step.name) == now:
                continue
            self._last[step.name] = now
            took = f" in {step.seconds:.1f} s" if step.ended and step.seconds is not None and not step.cached else ""
            self._print(f"{step.name}: {now[0]}{took}" + (f": {now[1]}" if now[1] else ""))
        if run.outcome != "running":
            self._print(f"run {run.id}: {run.outcome}" + (f": {run.reason}" if run.reason else ""))

    def _print(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", file=self._stream, flush=True)
