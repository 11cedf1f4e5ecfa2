"""One deadline for work that waits in several places."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# Work that overran its deadline goes on where nobody waits for it. More of it than this is not begun: a caller who
# names many slow hosts must not fill the process with threads.
_MAX_THREADS = 64
_slots = threading.BoundedSemaphore(_MAX_THREADS)


class Deadline:
    """A moment after which everything ends in TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, more than none; TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def sooner(self, seconds: float) -> "Deadline":
        """A deadline in `seconds`, or this one when it comes first."""
        other = Deadline(seconds)
        other._end = min(other._end, self._end)
        return other


def in_time(work: Callable[[], Result], deadline: Deadline) -> Result:
    """Run `work` on a thread, where it takes no time limit of ours; TimeoutError when it is not done in time.

    The thread is left to itself then. What `work` raises is raised here.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            _slots.release()

    if not _slots.acquire(timeout=deadline.left()):
        raise TimeoutError("the deadline has passed: too much work that overran its own is still going on")
    thread = threading.Thread(target=run, name="in-time", daemon=True)
    try:
        thread.start()
    except BaseException:
        _slots.release()
        raise
    thread.join(deadline.left())
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError("the deadline has passed")
    return results[0]
