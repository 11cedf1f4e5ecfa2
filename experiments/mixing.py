"""A candidate that the platform does not have: squares of other photos pasted in."""

import math

import numpy as np
import torch
from torch import Tensor


def cutmix(photos: Tensor, targets: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Yun et al. 2019: a square of another photo is pasted in; targets are mixed by area; `alpha` is above 0."""
    size = photos.shape[1]
    side = int(size * math.sqrt(1 - chance.beta(alpha, alpha)))
    other = torch.from_numpy(chance.permutation(len(photos)))
    left, top = chance.integers(0, size - side + 1, 2)
    mixed = photos.clone()
    mixed[:, top : top + side, left : left + side] = photos[other][:, top : top + side, left : left + side]
    share = 1 - side**2 / size**2
    return mixed, targets * share + targets[other] * (1 - share)
