"""When to try again, and how long to wait before: exponential backoff with full jitter, and never past the deadline."""

from __future__ import annotations

import random
import time

TRANSIENT = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed. Counting changes nothing, so asking again is always safe."""

_FIRST_SECONDS = 0.25
_MOST_SECONDS = 8.0


class Budget:
    """The time and the tries that one call has."""

    def __init__(self, seconds: float, retries: int):
        self._end = time.monotonic() + seconds
        self._retries = retries
        self.tries = 1

    def left(self) -> float:
        """Seconds left; TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of the call is used up")
        return left

    def wait(self, retry_after: float | None) -> float | None:
        """Seconds to wait before the next try, which is counted; None when there shall be none.

        At least `retry_after`, and a random part so that callers who failed together do not come back together.
        """
        jitter = random.uniform(0, min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** (self.tries - 1)))
        seconds = (retry_after or 0) + jitter
        if self.tries > self._retries or time.monotonic() + seconds >= self._end:
            return None
        self.tries += 1
        return seconds


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; None without one, and for a date, which the API never gives."""
    if value is None or not (value.isascii() and value.strip().isdigit()):
        return None
    return float(value)
