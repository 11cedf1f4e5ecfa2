"""The judge: a network's answers to the validation split, over all ranks."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from tally.data.shards import Split
from tally.labels import COUNTS
from tally.loader import validation_loader
from tally.precision import Precision
from tally.ranks import Ranks
from tally.settings import TrainingSettings
from tally.softening import unsoftening


class Judge:
    """Every rank looks at its share of the photos; what the methods return is whole and alike on every rank.

    Logits are those of counts, where a network has learnt softened labels too.
    """

    def __init__(self, settings: TrainingSettings, ranks: Ranks, validation: Split) -> None:
        self._ranks, self._photos = ranks, len(validation)
        self._precision = Precision.on(ranks.device, amp=settings.amp)
        self._unsoftening = unsoftening(settings).to(ranks.device)
        self._loader = validation_loader(validation, settings, ranks)

    @torch.inference_mode()
    def loss_and_confusion(self, network: nn.Module) -> tuple[float, Tensor]:
        """Mean cross-entropy (unweighted, unsmoothed) and confusion matrix int64 `[5, 5]`, rows true."""
        self._ranks.align(network)
        loss_sum = torch.zeros(1, dtype=torch.float64, device=self._ranks.device)
        counted = no_confusion(self._ranks)
        for logits, labels in self._answers(network):
            loss_sum += functional.cross_entropy(logits, labels, reduction="sum").double()
            counted += confusion_of(logits, labels)
        counted = self._ranks.sum(counted).cpu()
        return self._ranks.sum(loss_sum).item() / int(counted.sum()), counted

    @torch.inference_mode()
    def logits(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Logits float64 `[n, 5]` and labels int64 `[n]`, in the order of the split."""
        logits = torch.zeros(self._photos, len(COUNTS), dtype=torch.float64, device=self._ranks.device)
        labels = torch.zeros(self._photos, dtype=torch.int64, device=self._ranks.device)
        place = self._ranks.rank
        for found, true in self._answers(network):
            mine = slice(place, place + len(true) * self._ranks.world, self._ranks.world)
            logits[mine], labels[mine] = found.double(), true
            place += len(true) * self._ranks.world
        return self._ranks.sum(logits).cpu(), self._ranks.sum(labels).cpu()

    def _answers(self, network: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits float `[n, 5]` and labels of this rank's share, batch by batch."""
        network.eval()
        for photos, labels in self._loader:
            with self._precision.autocast():
                logits = network(photos.to(self._ranks.device)).float()
            yield self._unsoftening(logits), labels.to(self._ranks.device)


def no_confusion(ranks: Ranks) -> Tensor:
    """Return the empty confusion matrix, int64 `[5, 5]`, on this rank's device."""
    return torch.zeros(len(COUNTS), len(COUNTS), dtype=torch.int64, device=ranks.device)


def confusion_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Count (true, predicted) pairs on the device: int64 `[5, 5]`, rows true."""
    pairs = labels * len(COUNTS) + logits.argmax(1)
    return torch.bincount(pairs, minlength=len(COUNTS) ** 2).view(len(COUNTS), len(COUNTS))
