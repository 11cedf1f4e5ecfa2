"""Batch normalisation over all ranks on CPUs, where torch has none (torch.nn.SyncBatchNorm is for GPUs only).

With it a step does not depend on how many processes share a global batch.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from tally.exchange import add_up


class _Normalised(torch.autograd.Function):
    """Photos `[n, channels, height, width]` normalised with mean and variance over all ranks, which come with them.

    Ioffe and Szegedy, 2015 (arXiv 1502.03167), with torch's own kernels for each pass over the photos: written out in
    tensor operations, this took four times as long. What there is one of a channel, NumPy reckons, which has less to do
    before each operation: docs/benchmarks.md.
    """

    @staticmethod
    def forward(ctx: Any, photos: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(photos, None, None, 0.0)
        moments = torch.stack([mean, variance])
        first, second = moments.numpy()
        second += np.square(first)
        add_up(moments)
        first /= dist.get_world_size()
        second /= dist.get_world_size()
        second -= np.square(first)
        mean, variance = moments
        ctx.save_for_backward(photos, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return functional.batch_norm(photos, mean, variance, weight, bias, False, 0.0, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """What each rank gets, every rank contributed to: mean and variance carry gradients to the photos of all."""
        photos, weight, mean, variance = ctx.saved_tensors
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], photos, weight, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        sums = torch.stack([of_weight, of_bias])
        add_up(sums)  # on every rank, whatever is wanted there
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        by_weight, by_bias = sums.numpy() / (photos.numel() // photos.shape[1] * dist.get_world_size())
        deviation = 1 / np.sqrt(variance.numpy() + ctx.eps)
        slope = -deviation * by_weight
        offset = -by_bias - slope * mean.numpy()
        of_photos = torch.addcmul(gradients[0], photos, _across(slope)).add_(_across(offset))
        return of_photos.mul_(_across(weight.numpy() * deviation)), of_weight, of_bias, None


def _across(channels: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(channels).view(1, -1, 1, 1)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """BatchNorm2d whose mean and variance are those of the global batch; the same parameters and buffers."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `[n, channels, height, width]`; every rank must hold equally many photos."""
        if not self.training:
            return super().forward(input)
        normalised: Tensor
        normalised, mean, variance = _Normalised.apply(input, self.weight, self.bias, self.eps)
        if self.running_mean is not None and self.running_var is not None:
            count = input.numel() / input.shape[1] * dist.get_world_size()
            momentum = self.momentum if self.momentum is not None else 0.1
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            _approach(self.running_mean, mean.numpy(), momentum)
            unbiased = variance.numpy() * (count / (count - 1))  # as torch keeps it
            _approach(self.running_var, unbiased, momentum)
        return normalised


def _approach(buffer: Tensor, value: npt.NDArray[Any], momentum: float) -> None:
    kept = buffer.numpy()
    kept += momentum * (value - kept)


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
