"""The trainer's own clock: every moment of a run belongs to exactly one phase.

    with clock.phase("backward"):
        loss.backward()
    clock.take()  # {"backward": 0.41, "other": 0.02}

On CPUs a moment is read from the host's clock. On GPUs it is a CUDA event, so a phase lasts as long as the device's
own timeline says, idle time included, and nothing waits for the device: two events a phase cost microseconds.
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

PHASES = (
    "data",  # waiting for the next batch
    "copy",  # photos and labels to the device
    "forward",
    "backward",
    "all_reduce",  # what is left of the exchange of gradients when the last of them is ready, and votes
    "optimiser",
    "watching",  # the observation itself
    "validation",
    "checkpoint",
    "other",
)
_PENDING = 256  # segments kept before finished ones are added up: bounds memory on GPUs


class Timeline(Protocol):
    """Where a clock gets its moments from."""

    def now(self) -> Any:
        """A moment."""

    def passed(self, start: Any, end: Any) -> float:
        """Seconds between two moments that have come."""

    def has_come(self, moment: Any) -> bool:
        """False while a device has not reached the moment yet."""

    def wait_for(self, moment: Any) -> None:
        """Return when the moment has come."""


class HostTime:
    """The host's clock."""

    def now(self) -> float:
        """Seconds since some start."""
        return time.perf_counter()

    def passed(self, start: float, end: float) -> float:
        """Seconds from one to the other."""
        return end - start

    def has_come(self, _moment: float) -> bool:
        """Always."""
        return True

    def wait_for(self, _moment: float) -> None:
        """Nothing to wait for."""


class DeviceTime:
    """The timeline of the current CUDA stream."""

    def now(self) -> torch.cuda.Event:
        """An event that the stream will pass."""
        event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        event.record()
        return event

    def passed(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Seconds on the device; CUDA gives milliseconds."""
        return float(start.elapsed_time(end)) / 1000

    def has_come(self, moment: torch.cuda.Event) -> bool:
        """Has the device passed it?"""
        return bool(moment.query())  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def wait_for(self, moment: torch.cuda.Event) -> None:
        """Wait for the device."""
        moment.synchronize()


class Clock:
    """Adds up the seconds of each phase; a phase inside another one takes its time away from the outer one."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._stack = ["other"]
        self._since = timeline.now()
        self._segments: deque[tuple[str, Any, Any]] = deque()

    @classmethod
    def on(cls, device: torch.device) -> "Clock":
        """The clock that suits a device."""
        return cls(DeviceTime() if device.type == "cuda" else HostTime())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What happens inside the block counts as `name`."""
        self._cut()
        self._stack.append(name)
        try:
            yield
        finally:
            self._cut()
            self._stack.pop()

    def turn_into(self, name: str) -> None:
        """From here to the end of the running phase, time counts as `name`."""
        self._cut()
        self._stack[-1] = name

    def take(self) -> dict[str, float]:
        """Seconds of each phase since the last call, in the order of PHASES; waits for the device."""
        self._cut()
        if self._segments:
            self._timeline.wait_for(self._segments[-1][2])
        self._add_up(everything=True)
        sums = {name: self._sums[name] for name in PHASES if name in self._sums}
        self._sums.clear()
        return sums

    def _cut(self) -> None:
        now = self._timeline.now()
        self._segments.append((self._stack[-1], self._since, now))
        self._since = now
        if len(self._segments) > _PENDING:
            self._add_up()

    def _add_up(self, everything: bool = False) -> None:
        while self._segments and (everything or self._timeline.has_come(self._segments[0][2])):
            name, start, end = self._segments.popleft()
            self._sums[name] += self._timeline.passed(start, end)
