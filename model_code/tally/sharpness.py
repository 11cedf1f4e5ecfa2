"""Sharpness-aware steps: the gradient is taken where the loss is highest nearby, so that a flat minimum is sought.

    loss.backward()
    with Ascent(network, radius=0.05).uphill():
        ... forward and backward once more ...
    optimiser.step()

Foret, Kleiner, Mobahi & Neyshabur 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization".
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Ascent:
    """Moves the weights of `network` uphill and back again."""

    def __init__(self, network: nn.Module, radius: float) -> None:
        """`radius` is the length of the move over all weights together (2-norm), rho in the paper; above 0."""
        self._network, self._radius = network, radius

    @contextmanager
    def uphill(self) -> Iterator[None]:
        """Move along the gradients that are there, which are then dropped; at the end of the block move back, exactly.

        Inside, batch statistics are those of the batch, as always in training, and the running ones stay: they belong
        to weights that are kept. Gradients that are not finite move nothing: the block's own will show what is wrong.
        Scaled gradients do as well as any.
        """
        weights = self._network.parameters()
        gradients = {weight: weight.grad for weight in weights if weight.grad is not None}
        before = {weight: weight.detach().clone() for weight in gradients}
        self._climb(gradients)
        norms = {module: module.momentum for module in self._network.modules() if isinstance(module, _BatchNorm)}
        for norm in norms:
            norm.momentum = 0.0
        try:
            yield
        finally:
            for norm, momentum in norms.items():
                norm.momentum = momentum
            with torch.no_grad():
                for weight, kept in before.items():
                    weight.copy_(kept)

    @torch.no_grad()
    def _climb(self, gradients: dict[nn.Parameter, Tensor]) -> None:
        """Equation 2 of the paper with p = 2."""
        length = self._radius / (nn.utils.get_total_norm(gradients.values()) + 1e-12)
        for weight, gradient in gradients.items():
            weight.add_((gradient * length).nan_to_num(0.0, 0.0, 0.0))
            weight.grad = None
