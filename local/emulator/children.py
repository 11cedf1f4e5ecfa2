"""Every process that the emulator started, found again and ended: Lambda workers, jobs, model servers.

They carry the emulator's folder in their environment, as `MARK`: workers inherit it, jobs and servers are given it. Not
what lies below the folder: that may be another emulator's.
"""

import contextlib
import os
from pathlib import Path

import psutil

MARK = "TALLY_EMULATOR"
_SECONDS = 5.0


def find(folder: Path) -> list[psutil.Process]:
    """Running processes of the emulator in `folder`, but for the emulator itself and this process."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marked = process.environ().get(MARK) == str(folder)
            if marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(folder: Path) -> None:
    """Kill what is left of the emulator in `folder`, and wait until it is gone.

    Killed, not asked: jobs and servers are asked to end by whoever runs them, before this.
    """
    for process in (left := find(folder)):
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_SECONDS)
