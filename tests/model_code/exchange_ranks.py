"""One rank of `test_exchange.py`: what `add_up` makes of tensors that differ by rank, or the error it ends with."""

import json
import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist

from tally import exchange
from tally.errors import TallyError
from tally.ranks import join_ranks


def sums(rank: int) -> list[list[float]]:
    """float32 and float64 over sockets; a large one and whole numbers as torch.distributed adds them up."""
    found = []
    for length, dtype in ((7, torch.float32), (5, torch.float64), (20_000, torch.float64), (3, torch.int64)):
        generator = torch.Generator().manual_seed(rank)
        tensor = (torch.rand(length, generator=generator, dtype=torch.float64) * 1000).to(dtype)
        exchange.add_up(tensor)
        found.append(tensor.tolist()[:9])
    return found


if __name__ == "__main__":
    task, rank = sys.argv[1], int(os.environ["RANK"])
    if task == "elsewhere" and rank == 1:
        exchange._listens = lambda *_: False  # as on another machine, where rank 0's folder is not
    with join_ranks() as ranks:
        if task in ("sums", "elsewhere"):
            print(json.dumps({"sockets": exchange._neighbours is not None, "sums": sums(rank)}))
        elif rank == 0:
            if task == "silent":
                exchange._neighbours = exchange.Neighbours(0, exchange._neighbours._peers, timedelta(seconds=0.2))
            try:
                for _ in range(3):
                    exchange.add_up(torch.ones(3))
            except TallyError as error:
                print(json.dumps(str(error)), flush=True)
        elif task == "silent":
            while exchange._neighbours._peers[0].recv(100):  # until rank 0 has ended
                pass
        if task not in ("sums", "elsewhere"):
            os._exit(0)
    assert not dist.is_initialized()
