"""One process or many: where this process stands among the ranks, and what it exchanges with them.

torchrun sets RANK, LOCAL_RANK and WORLD_SIZE; without them a process is rank 0 of 1 and every exchange is free.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tally.exchange import neighbourhood

_TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True)
class Ranks:
    """This process among `world` processes, on `device`; `control` is a CPU group for decisions."""

    rank: int
    world: int
    device: torch.device
    control: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Rank 0 prints, writes checkpoints and exports."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over all ranks; the argument is left alone."""
        total = value.clone()
        if self.world > 1:
            dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """True on every rank when it is true on one: how all ranks stop at the same step."""
        if self.world == 1:
            return flag
        vote = torch.tensor([int(flag)])
        dist.all_reduce(vote, op=dist.ReduceOp.MAX, group=self.control)
        return bool(vote.item())

    def align(self, network: nn.Module) -> None:
        """Give every rank rank 0's buffers: batch statistics that ranks gathered apart must not judge apart."""
        if self.world > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def wait(self) -> None:
        """Go on when every rank is here."""
        if self.world > 1:
            dist.barrier(group=self.control)


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Join the other ranks (NCCL on GPUs, gloo on CPUs), and leave them at the end."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if world == 1:
        yield Ranks(rank, world, device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        control = dist.new_group(backend="gloo", timeout=_TIMEOUT)
        assert isinstance(control, dist.ProcessGroup)  # noqa: S101 - a group of all ranks has this one in it
        with neighbourhood(rank, world, control, _TIMEOUT) if device.type == "cpu" else nullcontext():
            yield Ranks(rank, world, device, control)
    finally:
        dist.destroy_process_group()


def seed_all(*parts: int) -> None:
    """Seed every generator from a few numbers (run, epoch, step, rank).

    Called before every step, it makes randomness a function of the position in the run: a resumed run needs no
    generator state.
    """
    seed = int(np.random.SeedSequence(parts).generate_state(1)[0])
    random.seed(seed)
    torch.manual_seed(seed)
