"""One rank of `test_batchnorm.py`: says gradients and buffers after two steps on its share of a batch.

As in the trainer, no rank is told another's buffers.
"""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tally.batchnorm import synchronise
from tally.ranks import join_ranks
from tests.model_code.rank_processes import Say


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    ).double()


def two_steps(model: nn.Module, share: slice) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    photos, labels = torch.randn(8, 3, 10, 10, generator=generator).double(), torch.arange(8) % 5
    for _ in range(2):
        model.zero_grad()
        nn.functional.cross_entropy(model(photos[share]), labels[share]).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [*gradients, *model.buffers()]


def train(say: Say, _rank: int) -> None:
    """The last step's gradients, and the buffers after it."""
    with join_ranks() as ranks:
        model = DistributedDataParallel(synchronise(small_network(), ranks.device), broadcast_buffers=False)
        found = two_steps(model, slice(ranks.rank, None, ranks.world))
        say([tensor.numpy() for tensor in found])
