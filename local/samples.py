"""Sample photos for a run without data, drawn by a process of their own while the platform is deployed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from local.display import Display
from local.errors import LocalError
from local.settings import REPOSITORY, RunSettings

_PRIORITY = 15  # below the deployment, which has one thing to do after the other, and which all else waits for


@contextlib.contextmanager
def sample_photos(settings: RunSettings, display: Display) -> Iterator[Callable[[], Path]]:
    """Begin to draw the sample photos of this number and seed, unless they are there; what it gives waits for them.

    Waiting raises LocalError when they could not be drawn. Drawing ends with the context.
    """
    folder = settings.build / "sample" / f"{settings.sample_photos}-photos-seed-{settings.seed}"
    if folder.is_dir():
        yield lambda: folder
        return
    display.say(f"generating {settings.sample_photos} sample photos in {folder}")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    words = ["--out", str(partial), "--photos", str(settings.sample_photos), "--seed", str(settings.seed)]
    with subprocess.Popen(
        [sys.executable, "-m", "local.sample_data", *words],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its workers end with it
    ) as process:
        _lower(process.pid)

        def drawn() -> Path:
            _, said = process.communicate()
            if process.returncode:
                raise LocalError(f"the sample photos in {partial} could not be drawn: {said.strip()[-800:]}")
            partial.rename(folder)
            return folder

        try:
            yield drawn
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


def _lower(leader: int) -> None:
    """Lower the priority of a session's processes among each other, and of the session itself: Linux may weigh sessions
    first (sched(7), autogroup), and then niceness counts only within each."""
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, leader, _PRIORITY)
    with contextlib.suppress(OSError):
        Path(f"/proc/{leader}/autogroup").write_text(str(_PRIORITY), encoding="ascii")
