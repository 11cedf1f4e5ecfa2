"""Sharpness-aware steps: the gradient is taken where the loss is highest nearby, so that a flat minimum is sought.

    ascent = Ascent(network, radius=0.05, still=network.still())
    with ascent.level():
        ... forward and backward ...
    with ascent.uphill():
        ... forward and backward once more ...
    optimiser.step()

Foret, Kleiner, Mobahi & Neyshabur 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_Forward = Callable[[Tensor], Tensor]


class Ascent:
    """Moves the weights of `network` uphill and back again."""

    def __init__(self, network: nn.Module, radius: float, still: Sequence[nn.Module] = ()) -> None:
        """`radius` is the length of the move over all weights together (2-norm), rho in the paper; above 0.

        `still` are parts that say the same of the same photos while the rest learns, see `PhotoNetwork.still`.
        """
        self._network, self._radius = network, radius
        self._said: dict[nn.Module, list[Tensor]] = {part: [] for part in still}

    @contextmanager
    def level(self) -> Iterator[None]:
        """Around the pass before: keeps what the still parts say, so that `uphill` need not compute it again."""
        for said in self._said.values():
            said.clear()
        with self._answering(_keeping):
            yield

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
            with self._answering(_repeating):
                yield
        finally:
            for norm, momentum in norms.items():
                norm.momentum = momentum
            with torch.no_grad():
                for weight, kept in before.items():
                    weight.copy_(kept)

    @contextmanager
    def _answering(self, how: Callable[[_Forward, list[Tensor]], _Forward]) -> Iterator[None]:
        for part, said in self._said.items():
            part.forward = how(part.forward, said)
        try:
            yield
        finally:
            for part in self._said:
                del part.forward  # the class's own is there again

    @torch.no_grad()
    def _climb(self, gradients: dict[nn.Parameter, Tensor]) -> None:
        """Equation 2 of the paper with p = 2."""
        length = self._radius / (nn.utils.get_total_norm(gradients.values()) + 1e-12)
        for weight, gradient in gradients.items():
            weight.add_((gradient * length).nan_to_num(0.0, 0.0, 0.0))
            weight.grad = None


def _keeping(forward: _Forward, said: list[Tensor]) -> _Forward:
    def answer(given: Tensor) -> Tensor:
        found = forward(given)
        said.append(found.clone())  # what comes after may change it in place
        return found

    return answer


def _repeating(forward: _Forward, said: list[Tensor]) -> _Forward:
    return lambda given: said.pop(0) if said else forward(given)
