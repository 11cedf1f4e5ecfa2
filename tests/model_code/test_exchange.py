"""Sums over ranks: over sockets where all are on one machine, and what is said when one of them goes."""

from pathlib import Path

import pytest
import torch

from tests.model_code import exchange_ranks
from tests.model_code.rank_processes import Task, run_ranks


def wanted(world: int) -> list[torch.Tensor]:
    tensors = []
    for length, dtype in ((7, torch.float32), (5, torch.float64), (20_000, torch.float64), (3, torch.int64)):
        parts = [
            torch.rand(length, generator=torch.Generator().manual_seed(rank), dtype=torch.float64) * 1000
            for rank in range(world)
        ]
        tensors.append(torch.stack([part.to(dtype) for part in parts]).sum(0)[:9])
    return tensors


@pytest.mark.parametrize(
    ("task", "world", "sockets"), [(exchange_ranks.sums, 3, True), (exchange_ranks.elsewhere, 2, False)]
)
def test_every_rank_has_the_same_sum(task: Task, world: int, sockets: bool, tmp_path: Path) -> None:
    found = run_ranks(task, world, tmp_path)
    assert [each["sockets"] for each in found] == [sockets] * world
    assert all(each["sums"] == found[0]["sums"] for each in found)  # to the bit
    for ours, theirs in zip(found[0]["sums"], wanted(world), strict=True):
        torch.testing.assert_close(torch.tensor(ours, dtype=theirs.dtype), theirs, rtol=1e-6, atol=0)
    assert list(tmp_path.iterdir()) == []  # the place where they met


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (exchange_ranks.gone, "rank 1 has ended while this one was training"),
        (exchange_ranks.silent, "rank 1 has said nothing for 0.2 s"),
    ],
)
def test_a_rank_that_goes_or_hangs_is_named(task: Task, said: str, tmp_path: Path) -> None:
    assert said in run_ranks(task, 2, tmp_path)[0]
