"""Memory of processes that run at the same time: the peak of a sum, not a sum of peaks."""

import contextlib
import threading
import time

import psutil

_SHARE = 0.05  # of a core that watching may take


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


class TreeMeter:
    """Watches process trees, while its context lasts, and remembers the most memory that all held at one time."""

    def __init__(self, every_seconds: float = 1.0):
        self._every = every_seconds
        self._roots = [psutil.Process()]
        self._ended = threading.Event()
        self._peak = 0
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "TreeMeter":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        """The most so far, in MB of 10^6 bytes."""
        return self._peak / 1e6

    def add(self, pid: int) -> None:
        """Watch the tree below `pid` too; this process and its children are watched anyway."""
        self._roots.append(psutil.Process(pid))

    def _watch(self) -> None:
        while True:
            began = time.monotonic()
            self._peak = max(self._peak, sum(memory_of(process) for process in self._processes()))
            cost = time.monotonic() - began
            if self._ended.wait(max(self._every, cost / _SHARE)):
                return

    def _processes(self) -> set[psutil.Process]:
        found = set(self._roots)
        for root in self._roots:
            with contextlib.suppress(psutil.Error):
                found.update(root.children(recursive=True))
        return found


def memory_of(process: psutil.Process) -> int:
    """Bytes: proportional set size on Linux; elsewhere resident size, which counts shared libraries per process."""
    try:
        used = process.memory_full_info()
        return int(getattr(used, "pss", used.rss))
    except psutil.Error:  # it has ended meanwhile
        return 0
