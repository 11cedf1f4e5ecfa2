"""Batch normalisation over all ranks on CPUs, where torch has none (torch.nn.SyncBatchNorm is for GPUs only).

With it a step does not depend on how many processes share a global batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _SumOverRanks(torch.autograd.Function):
    """A sum over all ranks that gradients flow back through: what each rank gets, every rank contributed to."""

    @staticmethod
    def forward(_ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d whose mean and variance are those of the global batch; the same parameters and buffers."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `[n, channels, height, width]`; every rank must hold equally many photos."""
        if not self.training:
            return super().forward(input)
        world = dist.get_world_size()
        moments = torch.stack([input.mean((0, 2, 3)), input.square().mean((0, 2, 3))])
        mean, square = _SumOverRanks.apply(moments) / world
        variance = square - mean.square()
        if self.running_mean is not None and self.running_var is not None:
            count = input.numel() / input.shape[1] * world
            with torch.no_grad():
                momentum = self.momentum if self.momentum is not None else 0.1
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * count / (count - 1), momentum)  # unbiased, as torch keeps it
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(1, -1, 1, 1), input, scale.view(1, -1, 1, 1))


def synchronise(network: nn.Module, device: torch.device) -> nn.Module:
    """Replace every BatchNorm2d of `network` by one over all ranks; names of parameters stay the same."""
    if device.type == "cuda":
        # torch leaves this function untyped.
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                fresh = CpuSyncBatchNorm(child.num_features, child.eps, child.momentum, dtype=child.weight.dtype)
                fresh.load_state_dict(child.state_dict())
                fresh.train(child.training)
                for old, new in zip(child.parameters(), fresh.parameters(), strict=True):
                    new.requires_grad_(old.requires_grad)
                setattr(module, name, fresh)
    return network
