"""An ensemble: several networks, trained one after the other, that answer together as one.

Networks of one recipe differ by their seeds alone and err in different places: the mean of their logits is right more
often than each (Lakshminarayanan, Pritzel & Blundell 2017, "Simple and scalable predictive uncertainty estimation using
deep ensembles").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tally.calibration import fit_temperature
from tally.metrics import confusion_matrix, confusion_metrics
from tally.network import PhotoNetwork


class Ensemble(nn.Module):
    """The mean of its members' logits.

    Members of one job that started from pretrained weights are alike in what is frozen. It becomes one module that all
    of them hold, and the exported graph computes it once; nothing of random weights is shared.
    """

    def __init__(self, members: Sequence[PhotoNetwork]) -> None:
        super().__init__()
        for member in members[1:]:
            for name in member.frozen:
                member.set_submodule(name, members[0].get_submodule(name))
        self.members = nn.ModuleList(members)

    def forward(self, photos: Tensor) -> Tensor:
        """As PhotoNetwork: uint8 `[n, height, width, 3]` to logits `[n, 5]`."""
        return torch.stack([member(photos) for member in self.members]).mean(0)


@dataclass(frozen=True)
class Judged:
    """What validation says of a network: cross-entropy at its best temperature, accuracy, macro-F1, RMSE in objects."""

    loss: float
    accuracy: float
    macro_f1: float
    rmse: float

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Judged":
        """Judge float64 logits `[n, 5]` against class indices `[n]`.

        At its best temperature, since an ensemble is less sure of the same answers than its members.
        """
        found = confusion_metrics(confusion_matrix(labels.numpy(), logits.argmax(1).numpy()))
        tempered = logits / fit_temperature(logits.numpy(), labels.numpy())
        return cls(functional.cross_entropy(tempered, labels).item(), found.accuracy, found.macro_f1, found.rmse)
