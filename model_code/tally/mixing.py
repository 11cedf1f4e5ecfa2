"""Mixup: photos of a batch laid over each other, so that few photos are not learnt by heart."""

import random

import torch
from torch import Tensor

HOW_OFTEN = 0.5
"""Share of the batches that are mixed; the rest stay as they will be served."""


def mixup(photos: Tensor, shares: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Zhang, Cisse, Dauphin & Lopez-Paz 2018, "mixup", with one mixing ratio a batch, drawn from Beta(alpha, alpha).

    `photos` `[n, ...]` become float, `shares` float `[n, 5]` say how much of each count a photo shows; `alpha` 0 leaves
    both alone. Draws from the generators of `random` and torch, which the trainer seeds before every step. Partners are
    of this rank's batch.
    """
    if not alpha or random.random() >= HOW_OFTEN:
        return photos, shares
    share = random.betavariate(alpha, alpha)
    other = torch.randperm(len(photos)).to(photos.device)
    return torch.lerp(photos[other].float(), photos.float(), share), torch.lerp(shares[other], shares, share)
