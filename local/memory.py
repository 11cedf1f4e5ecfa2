"""Memory of processes that run at the same time: the peak of a sum, not a sum of peaks."""

import threading


class MemoryMeter:
    """Adds up what several holders have right now and remembers the most; tells its parent the same.

    A trial's meter has the tuning job's as parent, and that one the whole run's.
    """

    def __init__(self, parent: "MemoryMeter | None" = None):
        self._parent = parent
        self._lock = threading.Lock()
        self._held: dict[int, int] = {}
        self._peak = 0

    @property
    def peak_mb(self) -> float:
        """The most that was held at one time, in MB of 10^6 bytes."""
        return self._peak / 1e6

    def hold(self, holder: int, size: int) -> None:
        """`holder` (a process id) has `size` bytes now; 0 when it is gone."""
        with self._lock:
            self._held[holder] = size
            self._peak = max(self._peak, sum(self._held.values()))
        if self._parent is not None:
            self._parent.hold(holder, size)
