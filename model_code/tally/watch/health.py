"""One step seen from inside: gradients and updates of every layer, and what activations no longer react.

    probe = HealthProbe(network)
    ... forward, backward ...
    probe.see_gradients()  # before clipping
    ... optimiser ...
    probe.finish()

Hooks see the outputs of this rank's share of the batch; they are removed by `finish`.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

# Where an activation's slope is below 1% of its largest: y (1 - y) for the sigmoid, 1 - y^2 for tanh.
_SIGMOID_LOW, _TANH_HIGH = 0.0025, 0.995
_SATURATED = 0.99  # of a unit's outputs; SageMaker Debugger's SaturatedActivation calls 1% of activity inactive
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh)


class HealthProbe:
    """Looks at one training step of `network`, whose weights it copies for the length of the step."""

    def __init__(self, network: nn.Module) -> None:
        self._layers = list(layers(network))
        self._before = [layer.detach().clone() for _, layer in self._layers]
        self._gradients: list[Tensor] = []
        self._seen: list[tuple[str, Tensor]] = []
        self._calls: dict[str, int] = {}
        self._hooks = [
            module.register_forward_hook(self._hook(name))
            for name, module in network.named_modules()
            if isinstance(module, _ACTIVATIONS)
        ]

    def see_gradients(self) -> None:
        """To be called between backward and clipping."""
        self._gradients = [
            torch.stack([layer.grad.norm(), layer.grad.abs().mean()]).double()
            if layer.grad is not None
            else torch.zeros(2, dtype=torch.float64, device=layer.device)
            for _, layer in self._layers
        ]

    def remove(self) -> None:
        """Take the hooks off the network."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def finish(self) -> dict[str, Any]:
        """Remove the hooks and return plain data.

        `layers` are names; `gradients` their norms before clipping, `means` the mean absolute gradients, `weights` the
        norms of the weights and `updates` how far the step moved them, relative to those norms. `activations` are
        names; of each, `dead` is the share of units (channels) that gave zero for every photo of the batch at every
        place, and `saturated` the share that is on a plateau for 99% of outputs.
        """
        self.remove()
        numbers = [
            torch.cat([gradient, torch.stack([before.norm(), (layer.detach() - before).norm()]).double()])
            for gradient, before, (_, layer) in zip(self._gradients, self._before, self._layers, strict=True)
        ]
        table = torch.stack(numbers).cpu().tolist() if numbers else []
        idle = torch.stack([shares for _, shares in self._seen]).cpu().tolist() if self._seen else []
        return {
            "layers": [name for name, _ in self._layers],
            "gradients": [row[0] for row in table],
            "means": [row[1] for row in table],
            "weights": [row[2] for row in table],
            "updates": [row[3] / (row[2] or 1.0) for row in table],
            "activations": [name for name, _ in self._seen],
            "dead": [dead for dead, _ in idle],
            "saturated": [saturated for _, saturated in idle],
        }

    def _hook(self, name: str) -> Any:
        @torch.no_grad()
        def see(module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._calls[name] = self._calls.get(name, 0) + 1
            call = "" if self._calls[name] == 1 else f" (use {self._calls[name]})"  # ResNets use one ReLU twice
            self._seen.append((_short(name) + call, idle_units(module, output.detach())))

        return see


def idle_units(activation: nn.Module, output: Tensor) -> Tensor:
    """Shares of dead and of saturated units, float `[2]`; `output` is `[n, units, ...]`."""
    values = output.flatten(2).transpose(1, 2).flatten(0, 1) if output.ndim > 2 else output  # [places, units]
    if isinstance(activation, nn.ReLU6):
        dead, plateau = values.amax(0) <= 0, values >= 6
    elif isinstance(activation, nn.ReLU):
        return torch.stack([(values.amax(0) <= 0).float().mean(), values.new_zeros(()).float()])
    elif isinstance(activation, nn.Tanh):
        dead, plateau = torch.zeros_like(values[0], dtype=torch.bool), values.abs() > _TANH_HIGH
    else:
        dead = torch.zeros_like(values[0], dtype=torch.bool)
        plateau = (values < _SIGMOID_LOW) | (values > 1 - _SIGMOID_LOW)
    saturated = plateau.float().mean(0) >= _SATURATED
    return torch.stack([dead.float().mean(), saturated.float().mean()])


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights that learn, convolutions and linear layers, in the order of the forward pass as written."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            yield _short(name.removesuffix(".weight")), parameter


def _short(name: str) -> str:
    return name.removeprefix("classifier.")
