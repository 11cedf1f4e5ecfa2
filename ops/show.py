"""How things look in a terminal: tables of runs, packages and status; a condensed view of a deployment."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.cdk import event
from ops.packages import Package
from ops.runs import Run
from ops.status import Status

_STYLES = {
    "succeeded": "green",
    "Approved": "green",
    "refused": "yellow",
    "stopped": "yellow",
    "PendingManualApproval": "yellow",
    "failed": "bold red",
    "Rejected": "red",
    "running": "cyan",
}
_QUIET_SECONDS = 15.0
_UNBROKEN = 5000  # columns
_PREPARATION = ("start: ", "success: ", "Hold on while", "✨  Synthesis")


def console(stream: TextIO) -> Console:
    """Prints to a stream; into a file or pipe, lines are not broken."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _UNBROKEN)


def runs_table(found: Sequence[Run]) -> Table:
    """Runs: id, when, outcome, reason."""
    rows = [(run.id, _when(run.started), run.outcome, run.reason) for run in found]
    return _table(("run", "started", "outcome", ""), rows)


def packages_table(found: Sequence[Package]) -> Table:
    """Packages: version, verdict and figures of the gate, approval, model card, which is in service."""
    rows = [
        (
            str(item.version),
            _when(item.created),
            item.verdict or "none",
            item.metadata.get("test", ""),
            _number(item.metadata.get("gain", "")),
            _number(item.metadata.get("p_value", "")),
            item.approval,
            "card" if item.has_card else "no card",
            "in service" if item.in_service else "",
            item.description,
        )
        for item in found
    ]
    return _table(("version", "created", "verdict", "test", "gain", "p", "approval", "", "", ""), rows)


def print_status(now: Status, stream: TextIO) -> None:
    """Everything `status` found."""
    out = console(stream)
    out.print(_table(("stack", "status"), [(kind, state or "not deployed") for kind, state in now.stacks.items()]))
    out.print()
    out.print(Text(f"endpoint: {now.endpoint or 'none'}"))
    out.print(Text(f"model in service: {now.model or 'none'}"))
    out.print(Text(f"API: {now.api or 'none'}", "" if now.answers else "bold red"))
    for queue, count in now.dead_letters.items():
        out.print(Text(f"{queue}: {count} messages that nobody could handle", "bold red" if count else ""))
    for alarm in now.alarms:
        out.print(Text(f"ALARM {alarm}", "bold red"))
    if not now.alarms:
        out.print(Text("no alarm"))
    if now.runs:
        out.print()
        out.print(runs_table(now.runs))


class DeploymentView:
    """Hears every line of the CDK CLI; prints what matters: a stack's start and end, failures, and signs of life."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._began = self._last = time.monotonic()
        self._done: dict[str, int] = {}

    def __call__(self, line: str) -> None:
        """Take in one line."""
        happened = event(line)
        if happened is None:
            text = line.strip()
            if text.startswith(("✅", "❌", "[ERROR]", "[WARNING]")) or "rror:" in text or ": deploying..." in text:
                self._print(text)
            return
        stack, status, resource = happened
        if status.endswith("_FAILED") or "ROLLBACK" in status:
            self._print(f"{stack}: {status} {resource}")
        elif status.endswith("_COMPLETE"):
            self._done[stack] = self._done.get(stack, 0) + 1
            if time.monotonic() - self._last > _QUIET_SECONDS:
                self._print(", ".join(f"{name}: {count} resources done" for name, count in self._done.items()))

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        print(f"[{self._last - self._began:6.1f} s] {text}", file=self._stream, flush=True)


class DifferenceView:
    """Hears every line of `cdk diff`; prints the differences, without how they were found."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __call__(self, line: str) -> None:
        """Take in one line."""
        if line.strip() and not line.startswith(_PREPARATION):
            print(line, file=self._stream, flush=True)


def _table(heads: Iterable[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    return table


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _number(text: str) -> str:
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text
