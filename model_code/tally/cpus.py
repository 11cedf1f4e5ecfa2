"""How many CPUs this process may use: every pool of processes or threads is sized by it."""

import math
import os
from pathlib import Path


def usable_cpus(group: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs of this process: those it may run on, and no more than its container's limit, rounded up; at least 1.

    A container that may use 2 of a host's 64 CPUs sees all 64 of them: the limit is in its cgroup, `group`.
    """
    allowed = len(os.sched_getaffinity(0))
    limit = _limit(group)
    return allowed if limit is None else max(1, min(allowed, math.ceil(limit)))


def _limit(group: Path) -> float | None:
    """CPUs' worth of time that the cgroup grants, of version 2 or 1; None without a limit."""
    try:
        if (unified := group / "cpu.max").exists():
            quota, period = unified.read_text(encoding="utf-8").split()  # "max 100000" without a limit
        else:
            names = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")  # -1 without a limit
            quota, period = ((group / name).read_text(encoding="utf-8") for name in names)
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
