"""Candidates that the platform does not have: what `experiments.trial` takes as options."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torchvision.transforms.v2 import RandAugment

from tally.labels import COUNTS
from tally.letterbox import FILL
from tally.losses import OrdinalLoss
from tally.network import PhotoNetwork, freeze
from tally.settings import TrainingSettings


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


def randaugment(photos: Tensor, magnitude: int) -> Tensor:
    """Cubuk et al. 2020: two random changes a photo, `magnitude` 0 to 30; uint8 `[n, size, size, 3]` in and out.

    Draws from torch's generator.
    """
    change = RandAugment(num_ops=2, magnitude=magnitude, fill=list(FILL))
    return torch.stack([change(photo) for photo in photos.permute(0, 3, 1, 2)]).permute(0, 2, 3, 1).contiguous()


class CandidateLoss:
    """The trainer's loss with what is tried out on top of it."""

    def __init__(self, loss: OrdinalLoss, balanced_softmax: Tensor | None = None, bootstrap: float = 0.0) -> None:
        """Take the photos of each count, `[5]`, for `balanced_softmax`, and the network's share in `bootstrap`.

        - Balanced softmax (Ren et al. 2020, "Balanced Meta-Softmax", equation 3; Menon et al. 2021): photos come as
          they are, and the logits learn what they would be if every count were equally frequent. With softened labels
          the shares are those of the softened counts.
        - Bootstrapping (Reed et al. 2015, "soft", equation 6), against wrong labels: that share of the target is what
          the network itself says.
        """
        self._loss, self._bootstrap = loss, bootstrap
        self._prior = torch.zeros(len(COUNTS))
        if balanced_softmax is not None:
            frequent = balanced_softmax / balanced_softmax.sum()
            self._prior = (frequent @ loss.targets).log() - loss.targets.mean(0).log()

    def __call__(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Logits float `[n, 5]` and shares of counts float `[n, 5]` to a scalar."""
        found = self._loss.of_shares(logits + self._prior, shares)
        if not self._bootstrap:
            return found
        said = (logits + self._prior).log_softmax(1)
        own = -(said.detach().exp() * said).sum(1).mean()
        return (1 - self._bootstrap) * found + self._bootstrap * own


def corn(logits: Tensor) -> Tensor:
    """Log-probabilities `[n, 5]` of a chain of four decisions, "more than k, if at least k", the first four logits.

    Shi, Cao & Raschka 2023, "CORN". The cross-entropy of these is their loss but for a factor: each photo takes part in
    the decisions that its count leads to.
    """
    more, enough = logsigmoid(logits[:, :-1]), logsigmoid(-logits[:, :-1])
    reached = torch.cat([torch.zeros_like(more[:, :1]), more.cumsum(1)], 1)
    return reached + torch.cat([enough, torch.zeros_like(enough[:, :1])], 1)


def unfreeze(network: PhotoNetwork, settings: TrainingSettings, epoch: int, head_epochs: int) -> None:
    """Gradual unfreezing (Howard & Ruder 2018) in two steps: the head alone for `head_epochs`, then what learns."""
    for parameter in network.parameters():
        parameter.requires_grad = True
    freeze(network, "backbone" if epoch < head_epochs else settings.freeze, pretrained=True)
