"""Schedules, weights and groups of parameters, against torch's own and by hand."""

from pathlib import Path

import pytest
import torch

from tally.data.shards import Split
from tally.network import build_network, freeze
from tally.optimiser import class_weights, learning_rate, make_optimiser
from tally.settings import TrainingSettings
from tests.model_code.jobs import make_channels


def test_cosine_is_torchs_cosine_after_a_linear_warm_up() -> None:
    settings = TrainingSettings(lr=0.4, epochs=12, warmup_epochs=2)
    assert learning_rate(settings, 1.0) == pytest.approx(0.2)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=10, eta_min=0.004)
    for epoch in range(10):
        assert learning_rate(settings, 2.0 + epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_step_cuts_every_so_many_epochs_and_constant_stays() -> None:
    step = TrainingSettings(lr=1.0, epochs=30, warmup_epochs=0, schedule="step", step_epochs=10, step_factor=0.5)
    assert [learning_rate(step, at) for at in (0, 9.99, 10, 25)] == [1.0, 1.0, 0.5, 0.25]
    assert learning_rate(TrainingSettings(lr=0.1, warmup_epochs=0, schedule="constant"), 17) == 0.1


def test_what_is_frozen_is_not_optimised_and_biases_are_not_decayed() -> None:
    network = build_network("resnet18", dropout=0)
    freeze(network, "backbone", pretrained=True)
    decayed, plain = make_optimiser(network, TrainingSettings(weight_decay=0.1)).param_groups
    assert [tuple(parameter.shape) for parameter in decayed["params"]] == [(5, 512)]
    assert [tuple(parameter.shape) for parameter in plain["params"]] == [(5,)]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert isinstance(make_optimiser(network, TrainingSettings(optimizer="sgd")), torch.optim.SGD)


def test_rates_fall_layer_by_layer_and_every_parameter_learns_once() -> None:
    network = build_network("resnet18", dropout=0)
    groups = make_optimiser(network, TrainingSettings(layer_decay=0.5)).param_groups
    scale = {id(parameter): group["scale"] for group in groups for parameter in group["params"]}
    assert scale.keys() == {id(parameter) for parameter in network.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(scale)
    classifier = network.classifier
    assert scale[id(classifier.get_parameter("fc.1.weight"))] == 1
    # between layer4 and the head lies the pooling, which has no weights
    assert scale[id(classifier.get_parameter("layer4.0.conv1.weight"))] == 0.5
    assert scale[id(classifier.get_parameter("layer3.0.conv1.weight"))] == 0.25


def test_parameters_outside_of_layers_learn_too() -> None:
    network = build_network("vit_b_16", dropout=0)
    groups = make_optimiser(network, TrainingSettings()).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_balanced_weights_are_inverse_to_photos_and_one_on_average(tmp_path: Path) -> None:
    make_channels(tmp_path, train=7)  # counts 1 2 3 4 5 1 2
    train = Split.open(tmp_path / "input" / "data" / "train")
    weights = class_weights(train, "balanced")
    assert weights[2] == pytest.approx(2 * float(weights[0]))
    assert sum(float(weights[photo.count - 1]) for photo in train.photos) == pytest.approx(len(train))
    assert class_weights(train, "none").tolist() == [1.0] * 5
