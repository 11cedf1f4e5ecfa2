"""The loss against torch's own, the published definitions by hand, and scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance
from torch.nn import functional

from tally.losses import OrdinalLoss
from tally.mixing import mixes, mixup
from tally.ranks import seed_all
from tally.settings import TrainingSettings

EVEN = torch.ones(5)


def batch(seed: int = 0, photos: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(photos, 5, generator=chance), torch.randint(0, 5, (photos,), generator=chance)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_with_hard_labels_it_is_torchs_cross_entropy(smoothing: float) -> None:
    logits, labels = batch()
    ours = OrdinalLoss(TrainingSettings(softening=0, label_smoothing=smoothing), EVEN)(logits, labels)
    assert ours.item() == pytest.approx(functional.cross_entropy(logits, labels, label_smoothing=smoothing).item())


def test_class_weights_multiply_a_photos_loss() -> None:
    logits, labels = batch()
    weights = torch.tensor([0.5, 1.0, 2.0, 1.0, 0.0])
    theirs = functional.cross_entropy(logits, labels, weights, reduction="none").mean()
    assert OrdinalLoss(TrainingSettings(softening=0), weights)(logits, labels).item() == pytest.approx(theirs.item())


def test_the_earth_movers_term_is_half_of_scipys_squared_energy_distance() -> None:
    # Szekely: the energy distance squared is twice the integral of the squared difference of the distributions.
    logits, labels = batch(1)
    plain = OrdinalLoss(TrainingSettings(emd=0), EVEN)(logits, labels).item()
    both = OrdinalLoss(TrainingSettings(emd=0.7), EVEN)(logits, labels).item()
    places = np.arange(5)
    theirs = np.mean(
        [
            energy_distance(places, [int(label)], row.softmax(0).double().numpy()) ** 2 / 2
            for row, label in zip(logits, labels, strict=True)
        ]
    )
    assert both - plain == pytest.approx(0.7 * theirs, rel=1e-5)


def test_a_mistake_costs_more_the_farther_it_is() -> None:
    loss = OrdinalLoss(TrainingSettings(softening=1.0, emd=1.0), EVEN)
    costs = [loss(8 * torch.eye(5)[[place]], torch.tensor([0])).item() for place in range(5)]
    assert costs == sorted(costs)


def test_its_gradient_is_the_numerical_one() -> None:
    logits, labels = batch(2, 3)
    loss = OrdinalLoss(TrainingSettings(softening=1.0, emd=1.0, label_smoothing=0.1), EVEN).double()
    assert torch.autograd.gradcheck(lambda scores: loss(scores, labels), logits.double().requires_grad_())


def test_a_mixed_photo_costs_what_its_parts_cost() -> None:
    logits, labels = batch(3)
    _, others = batch(4)
    loss = OrdinalLoss(TrainingSettings(softening=1.0, emd=0), EVEN)
    shares = 0.3 * functional.one_hot(labels, 5) + 0.7 * functional.one_hot(others, 5)
    parts = 0.3 * loss(logits, labels) + 0.7 * loss(logits, others)
    assert loss.of_shares(logits, shares).item() == pytest.approx(parts.item(), rel=1e-5)


def test_mixup_mixes_photos_and_shares_alike_every_second_step_and_repeatably() -> None:
    photos = torch.arange(6 * 4, dtype=torch.uint8).view(6, 4)
    shares = torch.eye(6)[:, :5] + 0.0
    for step in range(50):
        seed_all(step)
        mixed, mixed_shares = mixup(photos, shares, 0.4)
        seed_all(step)
        assert torch.equal(mixup(photos, shares, 0.4)[0], mixed)
        # the photos are linear in their number, so the shares say what each must be
        numbers = (mixed_shares @ torch.arange(5.0)) + 5 * (1 - mixed_shares.sum(1))
        assert torch.allclose(mixed, 4 * numbers[:, None] + torch.arange(4.0), atol=1e-3)
    assert [mixes(step, 0.4) for step in range(4)] == [False, True, False, True], "the first step is never mixed"
    assert not any(mixes(step, 0.0) for step in range(4))
