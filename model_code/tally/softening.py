"""Labels that spread to neighbouring counts, and the way back to the counts themselves.

A network that learns softened labels answers which softened label a photo would have. Its distribution is flatter than
the counts' own, and its most probable count lies too far from the ends: of a photo that may show 4 or 5, half of what
speaks for 5 is spread to 4. Whoever asks it wants the counts' distribution.
"""

import torch
from torch import Tensor, nn

from tally.labels import COUNTS
from tally.settings import TrainingSettings

_STEPS = 40
"""Of the way back. More sharpen what is only noise in an answer; from 15 to 80 they do about as well."""

_LEAST = 1e-6
"""Of a probability: no count is ruled out."""


def soft_targets(softening: float, smoothing: float = 0.0) -> Tensor:
    """Target distribution of every count: float `[5, 5]`, rows sum to 1.

    `softening` tau: the target of count i is q_j ~ exp(-(i - j)^2 / tau) (Diaz & Marathe 2019, "Soft Labels for
    Ordinal Regression", equation 2 with squared distance); tau = 0 is one-hot. `smoothing` e: (1 - e) q + e / 5
    (Szegedy et al. 2016).
    """
    places = torch.arange(len(COUNTS), dtype=torch.float64)
    squares = (places[:, None] - places).square()
    targets = (-squares / softening).softmax(1) if softening else torch.eye(len(COUNTS), dtype=torch.float64)
    return ((1 - smoothing) * targets + smoothing / len(COUNTS)).float()


class Unsoftening(nn.Module):
    """From the distribution of softened labels to that of counts.

    Of a photo with probabilities p of the counts, the softened label has q = p S, the rows of S being the targets.
    Given q this is p of the largest likelihood, sum over j of q_j log (p S)_j, by expectation maximisation from p = q:
    the deconvolution of Richardson 1972 and Lucy 1974, stopped after a number of steps as usual there. Unlike the
    inverse of S it never leaves the probabilities.
    """

    targets: Tensor

    def __init__(self, targets: Tensor) -> None:
        """Take `soft_targets`, float `[5, 5]`."""
        super().__init__()
        self.register_buffer("targets", targets)

    def forward(self, logits: Tensor) -> Tensor:
        """Logits of softened labels to those of counts, log-probabilities; float `[n, 5]` both."""
        softened = logits.softmax(1)
        targets = self.targets.to(logits.dtype)
        found = softened
        for _ in range(_STEPS):
            found = found * ((softened / (found @ targets).clamp(min=_LEAST)) @ targets.T)
        return found.clamp(min=_LEAST).log()


def unsoftening(settings: TrainingSettings) -> nn.Module:
    """What follows a network that learnt with `settings`: from its logits to those of counts, both float `[n, 5]`.

    Only where it started from pretrained weights (ADR 24).
    """
    if settings.weights != "none" and (settings.softening or settings.label_smoothing):
        return Unsoftening(soft_targets(settings.softening, settings.label_smoothing))
    return nn.Identity()
