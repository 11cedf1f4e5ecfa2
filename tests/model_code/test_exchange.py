"""Sums over ranks: over sockets where all are on one machine, and what is said when one of them goes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model_code.jobs import MODEL_CODE, free_port


def ranks(task: str, world: int, folder: Path) -> list[Any]:
    """What each of `world` processes printed; they meet below `folder`."""
    common = os.environ | {
        "PYTHONPATH": str(MODEL_CODE),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "TMPDIR": str(folder),
    }
    command = [sys.executable, str(Path(__file__).with_name("exchange_ranks.py")), task]
    started = [
        subprocess.Popen(command, env=common | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * world
    return [json.loads(text) if text else None for text in said]


def wanted(world: int) -> list[torch.Tensor]:
    tensors = []
    for length, dtype in ((7, torch.float32), (5, torch.float64), (20_000, torch.float64), (3, torch.int64)):
        parts = [
            torch.rand(length, generator=torch.Generator().manual_seed(rank), dtype=torch.float64) * 1000
            for rank in range(world)
        ]
        tensors.append(torch.stack([part.to(dtype) for part in parts]).sum(0)[:9])
    return tensors


@pytest.mark.parametrize(("task", "world", "sockets"), [("sums", 3, True), ("elsewhere", 2, False)])
def test_every_rank_has_the_same_sum(task: str, world: int, sockets: bool, tmp_path: Path) -> None:
    found = ranks(task, world, tmp_path)
    assert [each["sockets"] for each in found] == [sockets] * world
    assert all(each["sums"] == found[0]["sums"] for each in found)  # to the bit
    for ours, theirs in zip(found[0]["sums"], wanted(world), strict=True):
        torch.testing.assert_close(torch.tensor(ours, dtype=theirs.dtype), theirs, rtol=1e-6, atol=0)
    assert list(tmp_path.iterdir()) == []  # the place where they met


@pytest.mark.parametrize(
    ("task", "said"),
    [("gone", "rank 1 has ended while this one was training"), ("silent", "rank 1 has said nothing for 0.2 s")],
)
def test_a_rank_that_goes_or_hangs_is_named(task: str, said: str, tmp_path: Path) -> None:
    assert said in ranks(task, 2, tmp_path)[0]
