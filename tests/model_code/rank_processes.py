"""Ranks of one machine, each a process of its own, forked from one that has torch already: importing it takes 2 s of
CPU."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tests.model_code.jobs import free_port

Say = Callable[[Any], None]
Task = Callable[[Say, int], None]

_SECONDS = 60

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["torch.distributed"])


def run_ranks(task: Task, world: int, folder: Path) -> list[Any]:
    """Run `task(say, rank)` in `world` processes, whose folder for temporary files is `folder`.

    Returns what each has said at last, None for one that said nothing.
    """
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "GLOO_SOCKET_IFNAME": "lo",
        "TMPDIR": str(folder),
    }
    started = []
    for rank in range(world):
        hears, says = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=_rank, args=(task, says, rank, environment), daemon=True)
        process.start()
        says.close()
        started.append((process, hears))
    said = [_last(hears) for _, hears in started]
    for process, _ in started:
        process.join(_SECONDS)
    assert [process.exitcode for process, _ in started] == [0] * world
    return said


def _rank(task: Task, says: Connection, rank: int, environment: dict[str, str]) -> None:
    os.environ.update(environment, RANK=str(rank))
    tempfile.tempdir = None  # where it was before TMPDIR was set
    torch.set_num_threads(1)
    task(says.send, rank)


def _last(hears: Connection) -> Any:
    said = None
    try:
        while hears.poll(_SECONDS):
            said = hears.recv()
    except EOFError:
        return said
    raise AssertionError(f"a rank is still there after {_SECONDS} s; it said {said}")
