"""Shows a run: a live table in a terminal, one line per event anywhere else."""

import contextlib
import io
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.events import Event
from local.progress import worth_showing

_STYLES = {
    "succeeded": "green",
    "cached": "green",
    "failed": "bold red",
    "stopped": "yellow",
    "executing": "cyan",
    "not reached": "dim",
    "waiting": "dim",
}
_WORDS = {"started": "executing", "skipped": "not reached"}
_QUIET_SECONDS = 10.0


class PatientStream(io.TextIOBase):
    """Writes to a stream until its reader is gone, and to nowhere from then on: `make run | head` runs to its end."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        return self._stream.encoding or "utf-8"


class Display(Protocol):
    """Hears events and prints text; a context manager around the run."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def expect(self, steps: Sequence[str]) -> None:
        """Say which steps there are, in reading order."""
        ...

    def listen(self, event: Event) -> None:
        """Show one event."""
        ...

    def say(self, text: str) -> None:
        """Show a line of its own."""
        ...


def make_display(stream: TextIO) -> Display:
    """A live table when `stream` is a terminal, else plain lines."""
    return LiveDisplay(stream) if stream.isatty() else PlainDisplay(stream)


class PlainDisplay:
    """`[ 12.3 s] Step: what happened`, one line per event; repeated progress of a step at most every ten seconds."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._last_progress: dict[str, float] = {}

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to clean up."""

    def expect(self, steps: Sequence[str]) -> None:
        """Plain lines name their step as they come."""

    def listen(self, event: Event) -> None:
        """Print one event."""
        if event.kind == "progress":
            self._progress(event)
            return
        if event.kind == "note":
            self._print(f"{event.step}: {event.text}")
            return
        word = "cached" if event.cached else _WORDS.get(event.kind, event.kind)
        took = f" in {event.seconds:.1f} s" if event.seconds is not None else ""
        self._print(f"{event.step}: {word}{took}" + (f": {event.text}" if event.text else ""))

    def say(self, text: str) -> None:
        """Print one line."""
        self._print(text)

    def _progress(self, event: Event) -> None:
        shown = worth_showing(event.text)
        if shown is None:
            return
        # Counting lines come every two seconds; epochs and trials are rare and all of interest.
        if event.text.startswith("progress "):
            now = time.monotonic()
            if now - self._last_progress.get(event.step, -_QUIET_SECONDS) < _QUIET_SECONDS:
                return
            self._last_progress[event.step] = now
        self._print(f"{event.step}: {shown}")

    def _print(self, text: str) -> None:
        with self._lock:
            print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=self._stream, flush=True)


@dataclass
class _Row:
    status: str = "waiting"
    detail: str = ""
    started: float | None = None
    seconds: float | None = None


class LiveDisplay:
    """A table that is redrawn in place: step, status, seconds, the last thing it said."""

    def __init__(self, stream: TextIO):
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()
        self._live = Live(console=Console(file=stream), get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def expect(self, steps: Sequence[str]) -> None:
        """Draw a row for each step."""
        with self._lock:
            self._rows = {name: _Row() for name in steps}

    def listen(self, event: Event) -> None:
        """Update the step's row."""
        if event.kind in ("note", "retry"):
            self.say(f"{event.step}: {event.text}")
        row = self._rows.get(event.step)
        if row is None:
            return
        with self._lock:
            if event.kind == "progress":
                row.detail = worth_showing(event.text) or row.detail
            elif event.kind == "started":
                row.status, row.started = "executing", time.monotonic()
            elif event.kind not in ("note", "retry"):
                row.status = "cached" if event.cached else _WORDS.get(event.kind, event.kind)
                row.seconds = event.seconds
                row.detail = event.text.splitlines()[0] if event.text else row.detail

    def say(self, text: str) -> None:
        """Print above the table."""
        self._live.console.print(Text(text))

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("step")
        table.add_column("status")
        table.add_column("seconds", justify="right")
        table.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
        with self._lock:
            for name, row in self._rows.items():
                seconds = row.seconds
                if seconds is None and row.started is not None:
                    seconds = time.monotonic() - row.started
                shown = "" if seconds is None else f"{seconds:.1f}"
                table.add_row(name, Text(row.status, _STYLES.get(row.status, "")), shown, Text(row.detail))
        return table
