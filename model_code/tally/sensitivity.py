"""Which layers of an int8 model stay in float: those whose rounding changes its answers most.

"Partial quantization" of Wu, Judd, Zhang, Isaev & Micikevicius 2020, "Integer quantization for deep learning inference:
principles and empirical evaluation", section 5: each layer is made int8 alone and its damage measured, and the most
harmful ones are left in float until the whole is close enough. Damage needs no labels, so training photos will do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from tally.predictor import Probabilities
from tally.quantisation import Quantiser

CLOSE_ENOUGH = 0.01
"""Damage from which more layers are left in float."""

Answers = Callable[[onnx.ModelProto], Probabilities]


@dataclass(frozen=True)
class Chosen:
    """An int8 model, the layers `left` in float, the most harmful first, and the damage that remains."""

    model: onnx.ModelProto
    left: tuple[str, ...]
    damage: float


def damage(plain: Probabilities, int8: Probabilities) -> float:
    """Mean total variation between answers float [n, 5]: how much probability lies on other counts than before."""
    return float(np.abs(plain - int8).sum(axis=1).mean() / 2)


def choose_layers(quantiser: Quantiser, plain: Probabilities, answers: Answers) -> Chosen:
    """Leave 0, 1, 2, 4, ... layers in float, at most half of them, until the damage is at most CLOSE_ENOUGH.

    `answers` runs a model on the photos that `plain` float [n, 5] are the float model's answers to. Where half of the
    layers are not enough the least harmful of these models is chosen. Layers are measured one by one only when all
    together do too much damage.
    """

    def measured(left: tuple[str, ...]) -> Chosen:
        model = quantiser.int8(left)
        return Chosen(model, left, damage(plain, answers(model)))

    best = measured(())
    if best.damage <= CLOSE_ENOUGH:
        return best
    alone = {
        name: measured(tuple(other for other in quantiser.layers if other != name)).damage for name in quantiser.layers
    }
    ranked = sorted(quantiser.layers, key=lambda name: -alone[name])  # a tie keeps the order of the network
    number = 1
    while number <= len(ranked) // 2 and best.damage > CLOSE_ENOUGH:
        best = min(best, measured(tuple(ranked[:number])), key=lambda chosen: chosen.damage)
        number *= 2
    return best
