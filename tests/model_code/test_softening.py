"""Softened labels by their definition, and the way back against scipy's optimiser."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

from tally.settings import TrainingSettings
from tally.softening import Unsoftening, soft_targets, unsoftening

TARGETS = soft_targets(2.0).double()


def test_soft_targets_fall_with_the_squared_distance() -> None:
    spread = soft_targets(1.0)
    by_hand = np.exp([-4.0, -1.0, 0.0, -1.0, -4.0])
    assert spread[2].numpy() == pytest.approx(by_hand / by_hand.sum())
    assert spread[0].argmax() == 0
    assert torch.equal(soft_targets(0.0), torch.eye(5))
    assert soft_targets(1e-3).diagonal().min() > 0.999


@given(st.floats(0.05, 50), st.floats(0, 0.9))
def test_targets_are_distributions_whose_mode_is_the_label(softening: float, smoothing: float) -> None:
    targets = soft_targets(softening, smoothing).double()
    assert targets.sum(1).numpy() == pytest.approx(1, abs=1e-5)
    assert (targets.argmax(1) == torch.arange(5)).all()


def test_a_count_that_its_neighbours_drowned_is_found_again() -> None:
    counts = torch.tensor([[0.0, 0.10, 0.20, 0.32, 0.38]], dtype=torch.float64)
    softened = counts @ TARGETS
    assert softened.argmax().item() == 3, "the network says 4"
    found = Unsoftening(TARGETS)(softened.log()).exp()
    assert found.argmax().item() == 4
    assert found.numpy() == pytest.approx(counts.numpy(), abs=0.03)


@given(st.lists(st.floats(-6, 6), min_size=5, max_size=5))
def test_what_is_found_is_nearly_as_likely_as_the_likeliest(logits: list[float]) -> None:
    softened = torch.tensor([logits], dtype=torch.float64).softmax(1)

    def likelihood(counts: Tensor) -> float:
        return float((softened * (counts @ TARGETS).log()).sum())

    def cost(free: np.ndarray) -> float:
        return -likelihood(torch.from_numpy(free)[None].softmax(1))

    found = Unsoftening(TARGETS)(softened.log()).exp()
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert likelihood(found) >= likelihood(softened)
    best = -min(minimize(cost, start).fun for start in (np.zeros(5), np.log(found.numpy()[0])))
    assert likelihood(found) > best - 0.02


@pytest.mark.parametrize("softening", [1e-3, 0.1, 2.0, 100.0])
def test_no_answer_breaks_it(softening: float) -> None:
    logits = torch.tensor([[300.0, 0, 0, 0, 0], [0, 0, 0, 0, -1e4], [1e4, -1e4, 0, 0, 1e4], [0, 0, 0, 0, 0]])
    found = Unsoftening(soft_targets(softening))(logits)
    assert found.isfinite().all()
    assert found[0].argmax() == 0
    assert found.exp().sum(1).numpy() == pytest.approx(1, abs=1e-4)


def test_hard_labels_leave_nothing_to_undo() -> None:
    assert isinstance(unsoftening(TrainingSettings(weights="pretrained", softening=0)), nn.Identity)
    smooth = TrainingSettings(weights="pretrained", softening=0, label_smoothing=0.1)
    assert isinstance(unsoftening(smooth), Unsoftening)


def test_a_network_of_random_weights_is_left_alone() -> None:
    assert isinstance(unsoftening(TrainingSettings(weights="none")), nn.Identity)
