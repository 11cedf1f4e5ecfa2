"""Optimiser, learning-rate schedule and class weights: what the settings say about a step."""

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from tally.data.shards import Split
from tally.labels import COUNTS
from tally.network import PhotoNetwork
from tally.settings import TrainingSettings

_FLOOR = 0.01  # share of the rate that cosine decay ends at


def make_optimiser(network: PhotoNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum over what learns; biases and norms are not decayed.

    A group's `scale` is its share of the learning rate: `layer_decay` to the power of the layers between it and the
    head (Clark et al. 2020, ELECTRA, appendix A).
    """
    units = [parameters for unit in network.units() if (parameters := list(unit.parameters()))]
    head = list(network.classifier.get_submodule(network.head).parameters())
    known = {id(parameter) for layer in (*units, head) for parameter in layer}
    loose = [parameter for parameter in network.parameters() if id(parameter) not in known]  # a transformer's tokens
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(reversed([loose, *units, head])):
        learning = [parameter for parameter in layer if parameter.requires_grad]
        scale = settings.layer_decay**depth
        for decay, chosen in (
            (settings.weight_decay, [parameter for parameter in learning if parameter.ndim > 1]),
            (0.0, [parameter for parameter in learning if parameter.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "scale": scale})
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)
    return torch.optim.AdamW(groups, lr=settings.lr, fused=True)


def learning_rate(settings: TrainingSettings, epochs_done: float) -> float:
    """Learning rate `epochs_done` (a fraction) into the run: linear warm-up, then the schedule.

    Cosine: Loshchilov & Hutter 2017, SGDR, equation 5 with one period. A function of the position only, so there is
    no schedule state to resume.
    """
    if epochs_done < settings.warmup_epochs:
        return settings.lr * max(epochs_done, 0.02) / max(settings.warmup_epochs, 0.02)
    if settings.schedule == "step":
        return settings.lr * settings.step_factor ** int(epochs_done // settings.step_epochs)
    if settings.schedule == "cosine":
        share = (epochs_done - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
        return settings.lr * (_FLOOR + (1 - _FLOOR) * (1 + math.cos(math.pi * min(share, 1.0))) / 2)
    return settings.lr


def class_weights(split: Split, weighting: str) -> Tensor:
    """Weight of each class in the loss, float `[5]`; `balanced` is inverse to its photos.

    Scaled so that the mean weight of a photo of `split` is 1. A class without photos weighs 0.
    """
    if weighting == "none":
        return torch.ones(len(COUNTS))
    photos = Counter(photo.count for photo in split.photos)
    present = sum(1 for count in COUNTS if photos[count])
    return torch.tensor([len(split) / (present * photos[count]) if photos[count] else 0.0 for count in COUNTS])
