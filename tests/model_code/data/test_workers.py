"""The pool ends well, whoever is killed."""

import gc
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally.data.sources import Source
from tally.data.workers import Job, Pool, open_pool
from tally.errors import TallyError


@pytest.fixture
def pool() -> Iterator[Pool]:
    source = Source(Path(), "class folders", (), (), {}, {})
    gc.unfreeze()  # what other tests froze
    with open_pool(Job(source, 40, 10**6, multiprocessing.Value("q", 0)), 2) as pool:
        yield pool


def test_a_killed_worker_is_an_error_that_names_memory(pool: Pool) -> None:
    with pytest.raises(TallyError, match="most likely for want of memory"):
        list(pool.run(os._exit, [9]))


def test_a_bounded_number_of_tasks_is_taken_ahead(pool: Pool) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    results = pool.run(abs, tasks())
    next(results)
    assert taken <= 4
    assert sum(results) <= sum(range(50))
    assert taken == 50


def frozen(_: int) -> int:
    return gc.get_freeze_count()


def test_workers_leave_what_they_inherit_alone(pool: Pool) -> None:
    """Else each of them copies the list of all photos at its first full collection."""
    assert min(pool.run(frozen, [1, 2, 3])) > 10_000


ENDLESS = r"""
import multiprocessing, os, pathlib, time
from tally.data.sources import Source
from tally.data.workers import Job, open_pool

def work(_):
    os.write(1, f"{os.getpid()}\n".encode())  # one write: two workers share the pipe
    time.sleep(60)

with open_pool(Job(Source(pathlib.Path(), "", (), (), {}, {}), 40, 10**6, multiprocessing.Value("q", 0)), 2) as pool:
    list(pool.run(work, [1, 2]))
"""


def test_workers_end_when_their_parent_is_killed() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        try:
            workers = [int(parent.stdout.readline()) for _ in range(2)]
        finally:
            parent.kill()
    until = time.monotonic() + 10
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < until, "workers outlive their parent"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
