"""One rank of `test_exchange.py`: what `add_up` makes of tensors that differ by rank, or the error it ends with."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from tally import exchange
from tally.errors import TallyError
from tally.ranks import join_ranks
from tests.model_code.rank_processes import Say


def sums(say: Say, rank: int) -> None:
    """float32 and float64 over sockets; a large one and whole numbers as torch.distributed adds them up."""
    with join_ranks():
        found = []
        for length, dtype in ((7, torch.float32), (5, torch.float64), (20_000, torch.float64), (3, torch.int64)):
            generator = torch.Generator().manual_seed(rank)
            tensor = (torch.rand(length, generator=generator, dtype=torch.float64) * 1000).to(dtype)
            exchange.add_up(tensor)
            found.append(tensor.tolist()[:9])
        say({"sockets": exchange._neighbours is not None, "sums": found})
    assert not dist.is_initialized()


def elsewhere(say: Say, rank: int) -> None:
    """Rank 1 is on another machine, where rank 0's folder is not."""
    if rank == 1:
        exchange._listens = lambda *_: False
    sums(say, rank)


def gone(say: Say, rank: int) -> None:
    """Rank 1 ends, and rank 0 says what it makes of that."""
    with join_ranks():
        if rank == 0:
            say(_complaint())
        os._exit(0)


def silent(say: Say, rank: int) -> None:
    """Rank 1 is there and adds nothing until rank 0 has ended."""
    with join_ranks():
        if rank == 0:
            exchange._neighbours = exchange.Neighbours(0, exchange._neighbours._peers, timedelta(seconds=0.2))
            say(_complaint())
        else:
            while exchange._neighbours._peers[0].recv(100):
                pass
        os._exit(0)


def _complaint() -> str | None:
    try:
        for _ in range(3):
            exchange.add_up(torch.ones(3))
    except TallyError as error:
        return str(error)
    return None
