"""What only the experiments try, against published values and what it must reduce to."""

import pytest
import torch
from torch.nn import functional

from experiments.candidates import CandidateLoss, corn, randaugment, unfreeze
from tally.losses import OrdinalLoss
from tally.network import build_network
from tally.settings import TrainingSettings

EVEN = torch.ones(5)
HARD = OrdinalLoss(TrainingSettings(softening=0), EVEN)
LABELS = torch.tensor([0, 1, 2, 2, 2, 3, 4, 4])
SHARES = functional.one_hot(LABELS, 5).float()
LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))


def test_corn_is_what_coral_pytorch_documents() -> None:
    """The example of its `corn_loss`, which divides by the decisions that were taken part in and not by photos."""
    torch.manual_seed(123)
    photos = torch.rand(8, 99)
    logits = torch.nn.Linear(99, 4)(photos)
    chained = corn(torch.cat([logits, torch.full((8, 1), 7.0)], 1))
    decisions = (LABELS + 1).clamp(max=4).sum()
    assert functional.nll_loss(chained, LABELS, reduction="sum").item() / decisions == pytest.approx(0.7127, abs=5e-5)
    assert chained.exp().sum(1).tolist() == pytest.approx([1] * 8)
    assert HARD(chained, LABELS).item() == pytest.approx(functional.nll_loss(chained, LABELS).item())
    more_than = 1 - chained.exp().cumsum(1)[:, :4]
    torch.testing.assert_close(more_than, logits.sigmoid().cumprod(1))


def test_balanced_softmax_adds_the_logarithm_of_how_frequent_counts_are() -> None:
    photos = torch.tensor([100.0, 50, 10, 20, 20])
    found = CandidateLoss(HARD, balanced_softmax=photos)(LOGITS, SHARES)
    assert found.item() == pytest.approx(functional.cross_entropy(LOGITS + photos.log(), LABELS).item())
    softened = OrdinalLoss(TrainingSettings(softening=2), EVEN)
    even = CandidateLoss(softened, balanced_softmax=EVEN)(LOGITS, SHARES)
    assert even.item() == pytest.approx(softened(LOGITS, LABELS).item(), rel=1e-6)


def test_balanced_softmax_learns_the_logits_of_even_counts() -> None:
    """Photos that show nothing, of uneven counts: the best logits are those of evenly frequent ones, softened."""
    photos = torch.tensor([10.0, 20, 20, 5, 5])
    softened = OrdinalLoss(TrainingSettings(softening=2), EVEN)
    loss = CandidateLoss(softened, balanced_softmax=photos)
    shares = torch.eye(5).repeat_interleave(photos.long(), 0)
    slopes = []
    for logits in (softened.targets.mean(0).log()[None], torch.zeros(1, 5)):
        (gradient,) = torch.autograd.grad(loss(logits.requires_grad_().expand(60, 5), shares), logits)
        slopes.append(gradient.abs().max().item())
    assert slopes[0] < 1e-6 < 0.01 < slopes[1], "the logarithm of how often softened counts come, not of even ones"


def test_bootstrapping_mixes_the_networks_own_answer_into_the_target() -> None:
    target = 0.8 * SHARES + 0.2 * LOGITS.softmax(1)
    found = CandidateLoss(HARD, bootstrap=0.2)(LOGITS, SHARES)
    assert found.item() == pytest.approx(functional.cross_entropy(LOGITS, target).item())


def test_randaugment_changes_every_photo_its_own_way_and_repeatably() -> None:
    photos = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8).expand(8, -1, -1, -1)
    torch.manual_seed(3)
    found = randaugment(photos, 20)
    assert (found.shape, found.dtype) == (photos.shape, torch.uint8)
    assert len({photo.numpy().tobytes() for photo in found}) > 4
    torch.manual_seed(3)
    assert torch.equal(randaugment(photos, 20), found)


def test_gradual_unfreezing_frees_what_the_recipe_lets_learn() -> None:
    settings = TrainingSettings(backbone="resnet18", freeze="early")
    network = build_network("resnet18", 0.0)

    def learning(epoch: int) -> set[str]:
        unfreeze(network, settings, epoch, head_epochs=2)
        return {name.split(".")[1] for name, value in network.named_parameters() if value.requires_grad}

    assert learning(1) == {"fc"}
    assert learning(2) == {"layer2", "layer3", "layer4", "fc"}
