"""What other processes take of the CPUs meanwhile: figures of a machine that is not quiet are worth nothing."""

import contextlib
import time

import psutil

QUIET = 0.1
"""CPUs that others may take, in the mean of a window, before a run says so."""


class Others:
    """CPUs that neither this process, nor those it has started and waited for, nor `server` with its own have taken.

    What the host takes for other machines (steal) counts too.
    """

    def __init__(self, server: psutil.Process) -> None:
        self._server = server
        self._last = self._taken()

    def since(self) -> float:
        """CPUs in the mean since the last call; never below 0, which the clocks' resolution may give."""
        before, self._last = self._last, self._taken()
        moment, busy = (now - then for now, then in zip(self._last, before, strict=True))
        return max(0.0, busy / moment)

    def _taken(self) -> tuple[float, float]:
        """The time, and seconds of CPU that others have taken so far."""
        every = psutil.cpu_times()
        busy = every.user + every.nice + every.system + every.irq + every.softirq + every.steal
        me = psutil.Process().cpu_times()
        ours = me.user + me.system + me.children_user + me.children_system
        for process in (self._server, *self._server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                its = process.cpu_times()
                ours += its.user + its.system
        return time.monotonic(), busy - ours
