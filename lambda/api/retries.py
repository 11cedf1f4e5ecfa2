"""Tries again what failed in passing, as long as time remains."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from deadline import Deadline

Result = TypeVar("Result")
ATTEMPTS = 4
_FIRST_PAUSE = 0.25  # seconds at most; each pause may be twice as long as the one before
_WORTHWHILE = 0.5  # with less than these seconds left after the pause, another attempt could not end in time


class PassingError(Exception):
    """An attempt failed in a way that another one may not; `error` is what is raised when there is no other."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def with_retries(
    attempt: Callable[[], Result], deadline: Deadline, pause: Callable[[float], None] = time.sleep
) -> Result:
    """The result of the first of at most ATTEMPTS attempts that does not raise PassingError.

    Pauses are drawn evenly between nothing and their longest ("full jitter"), so that callers who failed together do
    not come again together. Once no time or attempt is left, the error of the last one is raised.
    """
    for count in range(ATTEMPTS):
        try:
            return attempt()
        except PassingError as passing:
            seconds = random.uniform(0, _FIRST_PAUSE * 2**count)
            if count + 1 == ATTEMPTS or not _time_for(seconds, deadline):
                raise passing.error from passing.__cause__
            pause(seconds)
    raise AssertionError("the last attempt returns or raises")


def _time_for(seconds: float, deadline: Deadline) -> bool:
    try:
        return deadline.left() > seconds + _WORTHWHILE
    except TimeoutError:
        return False
