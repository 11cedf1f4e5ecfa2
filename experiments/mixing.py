"""Candidates that the platform does not have: photos of a batch mixed with each other."""

import math

import numpy as np
import torch
from torch import Tensor

_HOW_OFTEN = 0.5  # share of the batches that are mixed


def mixup(photos: Tensor, targets: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Zhang et al. 2018: a photo is laid over another one, and so are their targets `[n, 5]`."""
    if not alpha or chance.random() >= _HOW_OFTEN:
        return photos, targets
    share, other = chance.beta(alpha, alpha), torch.from_numpy(chance.permutation(len(photos)))
    mixed = photos.float() * share + photos[other].float() * (1 - share)
    return mixed, targets * share + targets[other] * (1 - share)


def cutmix(photos: Tensor, targets: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Yun et al. 2019: a square of another photo is pasted in; targets are mixed by area."""
    if not alpha or chance.random() >= _HOW_OFTEN:
        return photos, targets
    size = photos.shape[1]
    side = int(size * math.sqrt(1 - chance.beta(alpha, alpha)))
    other = torch.from_numpy(chance.permutation(len(photos)))
    left, top = chance.integers(0, size - side + 1, 2)
    mixed = photos.clone()
    mixed[:, top : top + side, left : left + side] = photos[other][:, top : top + side, left : left + side]
    share = 1 - side**2 / size**2
    return mixed, targets * share + targets[other] * (1 - share)
