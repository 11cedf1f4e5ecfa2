"""What processes hold in memory while something goes on, and whether it grows."""

import contextlib
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

_MIB = 1024 * 1024
_EVERY = 1.0  # seconds, about
_LEAST = 8  # samples without which nothing is said of a process


@dataclass(frozen=True)
class Held:
    """Memory of one process in MiB: the median of its second and of its last quarter, and the most of all samples."""

    early: float
    late: float
    most: float
    samples: int

    @property
    def growth(self) -> float:
        """MiB from early to late."""
        return self.late - self.early


class MemoryWatch:
    """Samples the resident memory of the processes that `find` gives, by name, until it is left."""

    def __init__(self, find: Callable[[], Iterable[tuple[str, psutil.Process]]]) -> None:
        self._find = find
        self._samples: dict[tuple[str, int], list[float]] = defaultdict(list)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def held(self) -> dict[str, list[Held]]:
        """What every process held that was there for long enough, by name."""
        found: dict[str, list[Held]] = defaultdict(list)
        longest = max(map(len, self._samples.values()), default=0)
        for (name, _), samples in sorted(self._samples.items()):
            if len(samples) >= max(_LEAST, longest // 2):
                quarter = len(samples) // 4
                early, late = samples[quarter : 2 * quarter], samples[-quarter:]
                found[name].append(Held(statistics.median(early), statistics.median(late), max(samples), len(samples)))
        return dict(found)

    def _watch(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            for name, process in self._find():
                with contextlib.suppress(psutil.Error):
                    self._samples[name, process.pid].append(process.memory_info().rss / _MIB)
            self._ended.wait(max(0.0, _EVERY - (time.monotonic() - began)))
