"""What happens during a run, as data: the display, the log and the tests all read the same events."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `kind` is `started`, `succeeded`, `failed`, `stopped`, `skipped` (not reached), `retry`, `progress` (a line of a job
    worth showing) or `note` (something a person should know). `step` is empty for the execution as a whole.
    """

    kind: str
    step: str = ""
    text: str = ""
    cached: bool = False
    seconds: float | None = None


Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Listen to nothing."""
