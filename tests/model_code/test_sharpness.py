"""Sharpness-aware steps: where they look for the gradient, and what they leave alone."""

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tally.network import PhotoNetwork, build_network, freeze
from tally.sharpness import Ascent
from tally.trainer import Trainer
from tests.model_code.test_network import FAMILIES, cases
from tests.model_code.watched import network, splits, trained

PHOTOS = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_step_is_that_of_the_paper_by_hand() -> None:
    # Loss 3/2 a^2 + b at a=2, b=1: gradient (6, 1), so the weights move by 0.1 (6, 1) / sqrt(37).
    model = nn.ParameterDict({"a": nn.Parameter(torch.tensor(2.0)), "b": nn.Parameter(torch.tensor(1.0))})

    def loss() -> Tensor:
        found: Tensor = 1.5 * model["a"] ** 2 + model["b"]
        return found

    loss().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    with Ascent(model, radius=0.1).uphill():
        assert model["a"].grad is None, "the first gradient must not be added to the second"
        moved = 2 + 0.1 * 6 / 37**0.5
        assert model["a"].item() == pytest.approx(moved)
        assert model["b"].item() == pytest.approx(1 + 0.1 / 37**0.5)
        loss().backward()  # type: ignore[no-untyped-call]
    assert (model["a"].item(), model["b"].item()) == (2.0, 1.0)
    assert model["a"].grad is not None
    assert model["a"].grad.item() == pytest.approx(3 * moved)


def test_frozen_weights_and_running_statistics_stay_while_the_rest_moves_by_the_radius() -> None:
    tiny = network().train()
    frozen = tiny.classifier.features[0].weight.requires_grad_(False)
    tiny(PHOTOS).square().sum().backward()
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    with Ascent(tiny, radius=0.25).uphill():
        moved = [value - before[name] for name, value in tiny.named_parameters()]
        assert torch.stack([move.norm() for move in moved]).norm().item() == pytest.approx(0.25, rel=1e-5)
        assert torch.equal(frozen, before["classifier.features.0.weight"])
        tiny(PHOTOS).square().sum().backward()
    after = tiny.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if "num_batches" not in name)
    assert [module.momentum for module in tiny.modules() if isinstance(module, nn.BatchNorm2d)] == [0.5, 0.5]


@pytest.mark.parametrize("gradient", [float("inf"), float("nan"), 0.0])
def test_a_gradient_without_direction_moves_nothing(gradient: float) -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.tensor([[gradient, 1.0 if gradient else 0.0]])
    with Ascent(layer, radius=0.1).uphill():
        assert torch.equal(layer.weight.nan_to_num(9.0), before)


@pytest.mark.parametrize(
    ("backbone", "what"),
    [
        *cases([*FAMILIES, "squeezenet1_1", "densenet121", "shufflenet_v2_x0_5"], "early"),
        ("resnet18", "all_but_last_stage"),
        ("efficientnet_b0", "backbone"),  # whose head drops units in place: of what is kept, too
    ],
)
def test_what_does_not_learn_is_computed_once_and_the_gradients_are_what_they_were(
    backbone: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    photos = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    model = build_network(backbone, dropout=0.5)
    freeze(model, what, pretrained=True)
    model.train()
    computed: list[nn.Module] = []
    convolve = nn.Conv2d.forward

    def counted(module: nn.Conv2d, given: Tensor) -> Tensor:
        computed.append(module)
        return convolve(module, given)

    monkeypatch.setattr(nn.Conv2d, "forward", counted)

    def second_pass(still: Sequence[nn.Module]) -> tuple[list[Tensor], int]:
        ascent = Ascent(model, 0.01, still)
        model.zero_grad()
        for block in (ascent.level(), ascent.uphill()):
            computed.clear()
            torch.manual_seed(1)
            with block:
                model(photos).square().sum().backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None], len(computed)

    before = copy.deepcopy(model.state_dict())
    expected, all_of_them = second_pass(())
    model.load_state_dict(before)  # running statistics moved
    found, some = second_pass(model.still())
    frozen = sum(isinstance(module, nn.Conv2d) for part in model.still() for module in part.modules())
    assert (frozen > 0, some) == (True, all_of_them - frozen)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert "forward" not in {name for part in model.still() for name in vars(part)}


def test_weights_are_back_also_after_an_error() -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    layer(torch.ones(1, 2)).sum().backward()
    with pytest.raises(KeyError), Ascent(layer, radius=0.1).uphill():
        raise KeyError
    assert torch.equal(layer.weight, before)


def test_a_radius_of_almost_nothing_is_a_plain_run_with_the_same_units_dropped(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=60)
    kind = {"epochs": 2, "dropout": 0.5, "optimizer": "sgd", "mixup": 0.4}
    runs = [
        trained(tmp_path / f"{radius}", photos=network(nn.Dropout(0.5)), data=data, sam=radius, **kind)
        for radius in (0.0, 1e-7, 0.5)
    ]
    plain, close, far = ([row["train_loss"] for row in run["history"]] for run in runs)
    assert close == pytest.approx(plain, rel=1e-5)
    assert far != pytest.approx(plain, rel=1e-3)


def test_what_is_watched_of_a_step_is_its_first_pass(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=60)
    passes: list[int] = []

    def count(trainer: Trainer) -> None:
        seen: PhotoNetwork = trainer._network
        seen.register_forward_hook(lambda module, *_: passes.append(1) if module.training else None)

    plain, sharp = (
        trained(tmp_path / name, data=data, epochs=1, change=count, sam=radius)
        for name, radius in (("plain", 0.0), ("sharp", 0.1))
    )
    assert len(passes) == 3 + 2 * 3
    assert sharp["watch"]["activations"] == plain["watch"]["activations"]
    assert sharp["watch"]["first_step"]["dead"] == plain["watch"]["first_step"]["dead"]
    assert sharp["watch"]["first_step"]["objective"] == plain["watch"]["first_step"]["objective"]
