"""What an execution leaves in its folder while it runs and when it has ended, for whoever watches from outside.

`events.jsonl` has one event a line as it happens; `execution.json` the whole record once it is over. The emulator
writes, `make run` reads: AWS's own calls tell neither how far a job is nor what memory it took.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.events import Event
from local.execution import Execution
from local.files import read_json, write_json

_EVENTS = "events.jsonl"
_RECORD = "execution.json"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class StepOutcome:
    """How one step ended. `outputs` has the Describe* shape; seconds and peak_mb are None when it never started."""

    type: str
    status: str
    seconds: float | None
    cached: bool
    peak_mb: float | None
    reason: str | None
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class ExecutionRecord:
    """How an execution ended."""

    execution_id: str
    status: str
    reason: str | None
    parameters: Mapping[str, Any]
    steps: Mapping[str, StepOutcome]

    @property
    def outcome(self) -> str:
        """`succeeded`, `refused` (only Fail steps failed: the pipeline itself said no), `failed` or `stopped`."""
        if self.status != "Failed":
            return self.status.lower()
        failed = [step for step in self.steps.values() if step.status == "Failed"]
        return "refused" if failed and all(step.type == "Fail" for step in failed) else "failed"


class JournalWriter:
    """Writes the journal of one execution into `folder`."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        (folder / _EVENTS).touch()

    def listen(self, event: Event) -> None:
        """Append an event."""
        line = json.dumps(asdict(event), ensure_ascii=False)
        with self._lock, (self._folder / _EVENTS).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def close(self, execution: Execution) -> None:
        """The execution has ended: write its record."""
        steps = {
            name: StepOutcome(
                step.type, step.status, step.seconds, step.cached, step.peak_mb, step.reason, step.outputs
            )
            for name, step in execution.steps.items()
        }
        record = ExecutionRecord(
            execution.info.execution_id, execution.status, execution.reason, dict(execution.parameters), steps
        )
        write_json(self._folder / _RECORD, asdict(record))


def read_record(folder: Path) -> ExecutionRecord | None:
    """The record of an execution that has ended; None while it runs."""
    found: dict[str, Any] = read_json(folder / _RECORD, {})
    if not found:
        return None
    return ExecutionRecord(**{**found, "steps": {name: StepOutcome(**step) for name, step in found["steps"].items()}})


def follow(folder: Path, check: Callable[[], None] = lambda: None) -> Iterator[Event]:
    """Yield the events of an execution as they come, until its record is there and all are told.

    `check` is called while waiting; it raises when nobody can write any more.
    """
    position = 0
    while True:
        ended = (folder / _RECORD).exists()  # looked at first: what was written before it must still be told
        with (folder / _EVENTS).open("rb") as file:
            file.seek(position)
            lines = file.read()
        complete = lines[: lines.rfind(b"\n") + 1]
        position += len(complete)
        for line in complete.splitlines():
            yield Event(**json.loads(line))
        if ended:
            return
        check()
        time.sleep(_POLL_SECONDS)
