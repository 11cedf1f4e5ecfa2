"""Networks by name: heads, freezing, pretrained weights."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tally.errors import TallyError
from tally.network import Mirrored, build_network, check_size, find_weights, freeze, load_pretrained
from tests.shared import shared_dir

FAMILIES = ["resnet18", "resnet50", "efficientnet_b0", "convnext_tiny", "mobilenet_v2", "mobilenet_v3_small", "vgg11"]


def cases(backbones: Iterable[str], *values: object) -> list[Any]:
    """Parameters of a test: each backbone with the same values. `make e2e` runs vgg11, which takes half a gigabyte."""
    return [
        pytest.param(backbone, *values, marks=[pytest.mark.e2e] if backbone == "vgg11" else [])
        for backbone in backbones
    ]


@pytest.mark.parametrize(
    "backbone", cases([*FAMILIES, "inception_v3", "squeezenet1_1", "densenet121", "shufflenet_v2_x0_5"])
)
def test_every_family_maps_photos_to_five_logits(backbone: str) -> None:
    size = 96 if backbone == "inception_v3" else 64
    network = build_network(backbone, dropout=0.3).eval()
    with torch.inference_mode():
        logits = network(torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8))
    assert logits.shape == (2, 5)
    dropouts = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert dropouts
    assert set(dropouts) == {0.3}


@pytest.mark.parametrize("backbone", cases(FAMILIES))
def test_freezing_leaves_the_head_or_the_last_stage_learning(backbone: str) -> None:
    def learning(what: str) -> set[str]:
        network = build_network(backbone, dropout=0)
        freeze(network, what, pretrained=True)
        return {name for name, parameter in network.named_parameters() if parameter.requires_grad}

    everything, head, stage = learning("none"), learning("backbone"), learning("all_but_last_stage")
    assert head < stage < learning("early") < everything
    assert all(name.split(".")[1] in ("fc", "classifier") for name in head)


@pytest.mark.parametrize(
    ("backbone", "stage"),
    [*cases(["resnet18"], "classifier.layer4"), *cases(["vgg11"], "classifier.features.1")],
    ids=str,
)
def test_the_last_stage_is_the_last_resolution(backbone: str, stage: str) -> None:
    network = build_network(backbone, dropout=0)
    freeze(network, "all_but_last_stage", pretrained=True)
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert learning[0].startswith(stage)


@pytest.mark.parametrize(
    ("backbone", "first"), [("resnet18", "classifier.layer2.0"), ("mobilenet_v2", "classifier.features.4.")], ids=str
)
def test_early_layers_end_at_the_third_halving(backbone: str, first: str) -> None:
    network = build_network(backbone, dropout=0)
    freeze(network, "early", pretrained=True)
    assert next(name for name, value in network.named_parameters() if value.requires_grad).startswith(first)
    fresh = build_network(backbone, dropout=0)
    freeze(fresh, "early", pretrained=False)
    assert all(value.requires_grad for value in fresh.parameters()), "random weights are not worth keeping"


def test_a_mirrored_network_answers_alike_for_a_photo_and_its_mirror_image() -> None:
    network = build_network("resnet18", dropout=0).eval()
    photos = torch.randint(0, 256, (3, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        seen, mirrored = Mirrored(network)(photos), Mirrored(network)(photos.flip(2))
        alone = network(photos)
    assert torch.allclose(seen, mirrored, atol=1e-5)
    assert not torch.allclose(seen, alone, atol=1e-3)


@pytest.mark.parametrize("pretrained", [True, False])
def test_frozen_batch_statistics_move_only_where_they_describe_nothing_yet(pretrained: bool) -> None:
    network = build_network("resnet18", dropout=0)
    freeze(network, "all_but_last_stage", pretrained)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.train()
    network(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))
    moved = {name for name, value in network.named_buffers() if not torch.equal(value, before[name])}
    assert moved
    assert all("layer4" in name for name in moved) == pretrained


def test_an_unknown_backbone_is_an_error_that_suggests_others() -> None:
    with pytest.raises(
        TallyError, match="backbone 'resnet19' is not a classifier of torchvision; for example: resnet18"
    ):
        build_network("resnet19", dropout=0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_channel_load_into_everything_but_the_head(tmp_path: Path, suffix: str) -> None:
    donor = build_network("mobilenet_v2", dropout=0)
    state = donor.classifier.state_dict()
    file = tmp_path / f"mobilenet_v2_imagenet{suffix}"
    if suffix == ".pth":
        torch.save(state, file)
    else:
        save_file(state, file)
    network = build_network("mobilenet_v2", dropout=0)
    found = find_weights("pretrained", "mobilenet_v2", [tmp_path])
    assert found == file
    head = network.classifier.state_dict()["classifier.1.weight"].clone()
    load_pretrained(network, found)
    assert torch.equal(network.classifier.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
    assert torch.equal(network.classifier.state_dict()["classifier.1.weight"], head)


def test_a_photo_size_that_a_backbone_cannot_take_is_named_with_it() -> None:
    for backbone in ("inception_v3", "vit_b_32"):
        with pytest.raises(TallyError, match=f"backbone '{backbone}' cannot take photos of image_size=64"):
            check_size(build_network(backbone, dropout=0), 64)
    check_size(build_network("resnet18", dropout=0), 64)


def test_imagenet_weights_of_1000_classes_load() -> None:
    load_pretrained(build_network("mobilenet_v2", dropout=0), shared_dir("weights/mobilenet_v2_imagenet.pth"))


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "resnet18.pth"
    torch.save(build_network("resnet18", dropout=0).classifier.state_dict(), file)
    with pytest.raises(TallyError, match=r"resnet18\.pth' does not fit backbone 'mobilenet_v2'.*first 'features"):
        load_pretrained(build_network("mobilenet_v2", dropout=0), file)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"not weights"), ("a.safetensors", b"not weights"), ("b.pth", b"excuse me")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TallyError, match=rf"{name}' cannot be read"):
            load_pretrained(build_network("resnet18", dropout=0), tmp_path / name)


def test_missing_weights_say_where_they_were_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path / "baked"))
    with pytest.raises(TallyError) as caught:
        find_weights("pretrained", "resnet50", [tmp_path / "channel"])
    assert str(tmp_path / "channel") in str(caught.value)
    assert str(tmp_path / "baked") in str(caught.value)
    with pytest.raises(TallyError, match=r"weights file 'nowhere\.pth' does not exist"):
        find_weights("nowhere.pth", "resnet50", [])
    assert find_weights("none", "resnet50", []) is None
