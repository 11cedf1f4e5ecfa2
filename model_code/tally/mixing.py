"""Mixup: photos of a batch laid over each other, so that few photos are not learnt by heart."""

import random

import torch
from torch import Tensor


def mixes(step: int, alpha: float) -> bool:
    """Whether the batch of this step of an epoch is mixed: every second one, the rest stay as they will be served.

    By turns and not by chance, so that epochs compare and training accuracy is always that of unmixed photos.
    """
    return alpha > 0 and step % 2 == 1


def mixup(photos: Tensor, shares: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Zhang, Cisse, Dauphin & Lopez-Paz 2018, "mixup", with one mixing ratio a batch, drawn from Beta(alpha, alpha).

    `photos` `[n, ...]` become float, `shares` float `[n, 5]` say how much of each count a photo shows; `alpha` is above
    0. Draws from the generators of `random` and torch, which the trainer seeds before every step. Partners are of this
    rank's batch.
    """
    share = random.betavariate(alpha, alpha)
    other = torch.randperm(len(photos)).to(photos.device)
    return torch.lerp(photos[other].float(), photos.float(), share), torch.lerp(shares[other], shares, share)
