"""Batch normalisation over ranks, to the last bits of a float64."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tally.batchnorm import synchronise
from tally.network import build_network, freeze
from tests.model_code.batchnorm_ranks import small_network, train, two_steps
from tests.model_code.rank_processes import run_ranks


def test_gradients_and_statistics_of_two_ranks_are_those_of_one_process(tmp_path: Path) -> None:
    found = [[torch.from_numpy(array) for array in said] for said in run_ranks(train, 2, tmp_path)]
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
