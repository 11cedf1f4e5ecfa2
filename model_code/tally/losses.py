"""The loss: cross-entropy against labels that may spread to neighbouring counts, and an ordinal term beside it."""

from torch import Tensor, nn
from torch.nn.functional import one_hot

from tally.labels import COUNTS
from tally.settings import TrainingSettings
from tally.softening import soft_targets


class OrdinalLoss(nn.Module):
    """Loss of a batch; without options it is plain cross-entropy.

    - `softening` and `label_smoothing` spread labels, see `soft_targets`.
    - `emd` w: adds w times the squared earth mover's distance between the distribution and the true count, the sum
      over j of (CDF_j - CDF*_j)^2 (Hou, Yu & Samaras 2016, equation 4, not divided by the number of classes).
    - class weights multiply a photo's loss. It is a plain mean over photos all the same: the same number whatever the
      ranks' shares of a batch hold.
    """

    targets: Tensor
    class_weights: Tensor

    def __init__(self, settings: TrainingSettings, class_weights: Tensor) -> None:
        super().__init__()
        self._emd = settings.emd
        self.register_buffer("targets", soft_targets(settings.softening, settings.label_smoothing), persistent=False)
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits float `[n, 5]` and class indices int64 `[n]` to a scalar."""
        return self.of_shares(logits, one_hot(labels, len(COUNTS)).to(logits.dtype))

    def of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """As `forward` for photos that are mixed: `shares` float `[n, 5]` says how much of each count is in a photo."""
        log_probabilities = logits.log_softmax(1)
        loss = -((shares @ self.targets) * log_probabilities).sum(1)
        if self._emd:
            apart = log_probabilities.exp().cumsum(1) - shares.cumsum(1)
            loss = loss + self._emd * apart.square().sum(1)
        return (loss * (shares @ self.class_weights)).mean()
