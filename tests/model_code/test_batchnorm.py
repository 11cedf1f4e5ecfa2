"""Batch normalisation over ranks, to the last bits of a float64."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tally.batchnorm import synchronise
from tally.network import build_network, freeze
from tests.model_code.batchnorm_ranks import small_network, two_steps
from tests.model_code.jobs import MODEL_CODE, free_port


def test_gradients_and_statistics_of_two_ranks_are_those_of_one_process(tmp_path: Path) -> None:
    script = Path(__file__).with_name("batchnorm_ranks.py")
    common = os.environ | {
        "PYTHONPATH": str(MODEL_CODE),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=common | {"RANK": str(rank)})
        for rank in (0, 1)
    ]
    assert [rank.wait(timeout=60) for rank in ranks] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))
    for ours, theirs in zip(found[0], two_steps(small_network(), slice(None)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_what_is_frozen_stays_frozen_when_batch_statistics_are_synchronised(backbone: str) -> None:
    network = build_network(backbone, 0.0)
    freeze(network, "backbone", pretrained=True)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    synchronise(network, torch.device("cpu"))
    network.train()
    assert {name for name, parameter in network.named_parameters() if parameter.requires_grad} == learning
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
