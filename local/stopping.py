"""A request to stop, from a person down to the jobs of an execution."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for Ctrl-C, SIGTERM and SIGHUP while the block lasts, and what was called before thereafter."""
    before = {
        number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopSignal:
    """Set once with a reason; a child is set when it or any of its parents is.

    A tuning job gives each trial a child, so that early stopping ends one trial and Ctrl-C ends all of them.
    """

    def __init__(self, parent: "StopSignal | None" = None):
        self._event = threading.Event()
        self._parent = parent
        self._reason = ""

    def set(self, reason: str) -> None:
        """Ask to stop; the first reason is kept."""
        if not self._event.is_set():
            self._reason = reason
            self._event.set()

    def is_set(self) -> bool:
        """Whether this signal or a parent was set."""
        return self._event.is_set() or (self._parent is not None and self._parent.is_set())

    @property
    def reason(self) -> str:
        """Why, in the words of whoever asked; empty while nobody has."""
        if self._event.is_set() or self._parent is None:
            return self._reason
        return self._parent.reason

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; return True as soon as the signal is set."""
        deadline = time.monotonic() + seconds
        while not self.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._event.wait(min(left, 0.1))
        return True
