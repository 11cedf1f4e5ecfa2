"""Small sums over ranks, which batch statistics need a hundred times a step.

Ranks on CPUs of one machine exchange them over sockets of their own: gloo hands every message from thread to thread.
Elsewhere torch.distributed does it.
"""

import contextlib
import math
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from tally.cpus import usable_cpus
from tally.errors import TallyError

_LARGEST = 64 * 1024  # bytes that a socket takes before anyone reads
_MEETING_SECONDS = 30.0
_AWAKE_SECONDS = 3e-3
"""How long a rank asks before it sleeps, where it has a CPU of its own: most sums come soon, and a CPU wakes slowly."""
_RANK = struct.Struct("!I")


class Neighbours:
    """Sockets to all other ranks, which are processes of this machine."""

    def __init__(self, rank: int, peers: Mapping[int, socket.socket], timeout: timedelta) -> None:
        self._rank, self._peers = rank, dict(sorted(peers.items()))
        self._seconds = timeout.total_seconds()
        self._awake = _AWAKE_SECONDS if usable_cpus() > len(peers) else 0.0
        for peer in self._peers.values():
            fraction, whole = math.modf(self._seconds)
            peer.setblocking(True)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(whole), int(1e6 * fraction)))

    def add_up(self, tensor: Tensor) -> None:
        """Replace `tensor` (float32 or float64, contiguous) by the sum over ranks, to the same bits on each.

        TallyError when a rank has gone, or has said nothing for as long as the timeout.
        """
        mine = tensor.detach().numpy()
        for rank, peer in self._peers.items():
            try:
                peer.sendall(mine.data.cast("B"))
            except OSError as error:
                raise _gone(rank) from error
        parts = {rank: self._received(rank, mine) for rank in self._peers} | {self._rank: mine}
        ranks = sorted(parts)
        total = parts[ranks[0]].copy()
        for rank in ranks[1:]:
            total += parts[rank]
        mine[...] = total

    def _received(self, rank: int, like: np.ndarray) -> np.ndarray:
        found = np.empty_like(like)
        rest = found.data.cast("B")
        awake = time.monotonic() + self._awake
        while rest:
            asks = time.monotonic() < awake
            try:
                length = self._peers[rank].recv_into(rest, flags=socket.MSG_DONTWAIT if asks else 0)
            except BlockingIOError as error:
                if asks:
                    continue
                raise TallyError(
                    f"rank {rank} has said nothing for {self._seconds:g} s; its log says what it is doing"
                ) from error
            except OSError as error:
                raise _gone(rank) from error
            if not length:
                raise _gone(rank)
            rest = rest[length:]
        return found


def _gone(rank: int) -> TallyError:
    return TallyError(f"rank {rank} has ended while this one was training; its log says why")


_neighbours: Neighbours | None = None


def add_up(tensor: Tensor) -> None:
    """Replace `tensor` by the sum over all ranks of the default group."""
    if _neighbours and tensor.dtype in (torch.float32, torch.float64) and tensor.nbytes <= _LARGEST:
        _neighbours.add_up(tensor)
    else:
        dist.all_reduce(tensor)


@contextlib.contextmanager
def neighbourhood(rank: int, world: int, control: dist.ProcessGroup, timeout: timedelta) -> Iterator[None]:
    """While the context lasts, `add_up` uses sockets if all ranks are on one machine. Every rank must enter it.

    `control` is a group of all ranks on CPUs; `timeout` is how long a rank may be waited for.
    """
    global _neighbours
    peers = _met(rank, world, control)
    vote = torch.tensor([int(peers is not None)])
    dist.all_reduce(vote, op=dist.ReduceOp.MIN, group=control)
    if peers is not None and vote.item():
        _neighbours = Neighbours(rank, peers, timeout)
    try:
        yield
    finally:
        _neighbours = None
        for peer in (peers or {}).values():
            peer.close()


def _met(rank: int, world: int, control: dist.ProcessGroup) -> dict[int, socket.socket] | None:
    """A socket to each other rank by its number; None where one cannot be reached, as on another machine."""
    place = [tempfile.mkdtemp(prefix="tally-ranks-") if rank == 0 else ""]
    dist.broadcast_object_list(place, src=0, group=control)
    folder = Path(place[0])
    peers: dict[int, socket.socket] = {}
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(_MEETING_SECONDS)
    try:
        here = _listens(listener, folder / str(rank), world)
        everyone = torch.tensor([int(here)])
        dist.all_reduce(everyone, op=dist.ReduceOp.MIN, group=control)
        if not everyone.item():
            return None
        for lower in range(rank):
            peers[lower] = socket.socket(socket.AF_UNIX)
            peers[lower].connect(str(folder / str(lower)))
            peers[lower].sendall(_RANK.pack(rank))
        for _ in range(rank + 1, world):
            caller, _ = listener.accept()
            caller.settimeout(_MEETING_SECONDS)
            peers[_RANK.unpack(caller.recv(_RANK.size, socket.MSG_WAITALL))[0]] = caller
    except (OSError, struct.error):
        for peer in peers.values():
            peer.close()
        return None
    finally:
        listener.close()
        dist.barrier(group=control)
        if rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return peers


def _listens(listener: socket.socket, place: Path, world: int) -> bool:
    """False where the folder is not: on another machine than rank 0's."""
    try:
        listener.bind(str(place))
        listener.listen(world)
    except OSError:
        return False
    return True
