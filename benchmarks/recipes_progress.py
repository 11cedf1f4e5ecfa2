"""Tells a person how far a long comparison is, and when it will end."""

import re
import time
from collections.abc import Callable
from typing import TextIO

_VALUE = re.compile(r"\b([a-z_0-9]+)=(\S+)")
_MEMBER = re.compile(r"member (\d+) of (\d+): ")
_QUIET_SECONDS = 60.0  # between two lines from within an epoch


class Progress:
    """Prints lines with the seconds since it was made."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self._started:7.1f} s] {text}", file=self._stream, flush=True)

    def job(self, what: str) -> Callable[[str], None]:
        """Listen to a job without epochs: its warnings, and how far it is once a minute."""
        return _Listener(self, what).hear

    def training(self, what: str, epochs: int, later: int) -> Callable[[str], None]:
        """Listen to a training of `epochs`, after which `later` trainings of about the same length follow."""
        return _Listener(self, what, epochs, later).hear


class _Listener:
    """One job's lines: an epoch's end is told each time, with the projected end by the pace so far."""

    def __init__(self, progress: Progress, what: str, epochs: int = 0, later: int = 0) -> None:
        self._progress, self._what, self._epochs, self._later = progress, what, epochs, later
        self._spent: dict[tuple[int, str], float] = {}
        self._member, self._members = 1, 1
        self._said = time.monotonic()

    def hear(self, line: str) -> None:
        values = dict(_VALUE.findall(line))
        if line.startswith("epoch=") and {"seconds", "validation_accuracy"} <= values.keys():
            self._spent[self._member, values["epoch"]] = float(values["seconds"])
            member = f"member {self._member} of {self._members}, " if self._members > 1 else ""
            self._tell(
                f"{member}epoch {int(values['epoch']) + 1} of {self._epochs}, "
                f"validation accuracy {float(values['validation_accuracy']):.3f}, "
                f"{float(values['photos_per_second']):.0f} photos/s; {self._ends(int(values['epoch']) + 1)}"
            )
        elif found := _MEMBER.match(line):
            self._member, self._members = int(found[1]), int(found[2])
        elif line.startswith(("resumed ", "warning")):
            self._tell(line)
        elif line.startswith("progress ") and time.monotonic() - self._said > _QUIET_SECONDS:
            self._tell(line.removeprefix("progress "))

    def _ends(self, done: int) -> str:
        pace = sum(self._spent.values()) / len(self._spent)
        here = (self._epochs - done + (self._members - self._member) * self._epochs) * pace
        whole = here + self._later * self._members * self._epochs * pace
        return f"ends about {_clock(here)}" + (f", all trainings about {_clock(whole)}" if self._later else "")

    def _tell(self, text: str) -> None:
        self._said = time.monotonic()
        self._progress.say(f"{self._what}: {text}")


def _clock(seconds: float) -> str:
    end = time.time() + seconds
    day = "" if time.localtime(end)[:3] == time.localtime()[:3] else "%a "
    return time.strftime(f"{day}%H:%M", time.localtime(end))
