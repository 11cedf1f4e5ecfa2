"""A soup: several networks trained one after the other from the same weights, averaged into one.

It answers nearly as well as an ensemble of them and costs no more to serve than one (Wortsman et al. 2022, "Model
soups"). It needs a common start: what grew from one pretrained network can be averaged, what grew from random weights
cannot, so the soup is kept only where validation says that it is better than its best member.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from tally.calibration import fit_temperature
from tally.metrics import confusion_matrix, confusion_metrics
from tally.network import PhotoNetwork
from tally.precision import Precision
from tally.ranks import Ranks

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Taste:
    """What validation says of a network: cross-entropy at its best temperature, accuracy, macro-F1, RMSE in objects."""

    loss: float
    accuracy: float
    macro_f1: float
    rmse: float

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Taste":
        """Judge float64 logits `[n, 5]` against class indices `[n]`.

        At its best temperature, since averaged weights are less sure of the same answers.
        """
        found = confusion_metrics(confusion_matrix(labels.numpy(), logits.argmax(1).numpy()))
        tempered = logits / fit_temperature(logits.numpy(), labels.numpy())
        return cls(functional.cross_entropy(tempered, labels).item(), found.accuracy, found.macro_f1, found.rmse)


def averaged_weights(states: Sequence[State]) -> dict[str, Tensor]:
    """Mean of state dicts of one architecture; whole numbers (counters of batches) are the first one's."""
    first = states[0]
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


@torch.no_grad()
def settle(network: PhotoNetwork, batches: Iterable[Tensor], ranks: Ranks, *, amp: bool) -> None:
    """Estimate anew the batch statistics of what has learnt: averaged weights send other values through the layers.

    `batches` of photos, uint8 `[n, S, S, 3]`, weigh the same each (as torch.optim.swa_utils.update_bn does it, which
    would also reset what is frozen). Rank 0's are what counts.
    """
    still = {id(module) for part in network.still() for module in part.modules()}
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and id(module) not in still]
    if not norms:
        return
    usual = [norm.momentum for norm in norms]
    precision = Precision.on(ranks.device, amp=amp)
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for done, photos in enumerate(batches):
        for norm in norms:
            norm.momentum = 1 / (done + 1)
        with precision.autocast():
            network(photos.to(ranks.device, non_blocking=True))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    network.eval()
    ranks.align(network)
