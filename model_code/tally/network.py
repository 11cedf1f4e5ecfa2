"""Networks: any torchvision classifier by name, with a new head, frozen as far as asked.

    network = build_network("resnet18", dropout=0.2)
    load_pretrained(network, find_weights("pretrained", "resnet18", [paths.channel("weights")]))
    freeze(network, "backbone", pretrained=True)

`PhotoNetwork` takes uint8 photos and normalises inside, so training, export and serving cannot disagree on it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from tally.errors import TallyError
from tally.labels import COUNTS

WEIGHTS_DIR_VARIABLE = "TALLY_WEIGHTS_DIR"
BAKED_WEIGHTS = Path("/opt/tally/weights")
_HEADS = ("fc", "classifier", "head", "heads")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, what torchvision's weights expect


class PhotoNetwork(nn.Module):
    """A torchvision classifier that takes photos as they are stored.

    Input uint8 `[n, height, width, 3]` (RGB), output float logits `[n, 5]` in the order of COUNTS.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str, classifier: nn.Module, head: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.head = head
        self.frozen: tuple[str, ...] = ()  # names: what they name may be replaced, as `batchnorm.synchronise` does
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """Normalise and classify."""
        planes = photos.permute(0, 3, 1, 2).to(self.mean.dtype)
        logits: Tensor = self.classifier((planes - self.mean) / self.std)
        return logits

    def units(self) -> list[nn.Module]:
        """The backbone as a chain of modules, in the order of the forward pass; the head is not among them."""
        units: list[nn.Module] = []
        for name, module in self.classifier.named_children():
            if name == self.head:
                continue
            units.extend(module.children() if name == "features" else [module])
        return units

    def train(self, mode: bool = True) -> "PhotoNetwork":
        """As usual, but frozen parts stay in evaluation mode: their batch statistics must not move."""
        super().train(mode)
        for module in self.still():
            module.eval()
        return self

    def still(self) -> list[nn.Module]:
        """Modules whose batch statistics must not move."""
        return [self.get_submodule(name) for name in self.frozen]


class Mirrored(nn.Module):
    """A network that looks at every photo and at its mirror image: the mean of both logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        """As PhotoNetwork, at twice the cost."""
        logits: Tensor = (self.network(photos) + self.network(photos.flip(2))) / 2
        return logits


def build_network(backbone: str, dropout: float) -> PhotoNetwork:
    """Make the classifier `backbone` of torchvision, without weights, with a fresh head for 5 counts.

    Raises TallyError for a name that torchvision does not have as a classifier.
    """
    if backbone not in models.list_models(module=models):
        raise TallyError(
            f"backbone '{backbone}' is not a classifier of torchvision; "
            "for example: resnet18, resnet50, mobilenet_v2, efficientnet_b0, convnext_tiny, vgg16, inception_v3"
        )
    extra = {"aux_logits": False, "init_weights": True} if backbone in ("inception_v3", "googlenet") else {}
    classifier: nn.Module = models.get_model(backbone, weights=None, **extra)
    for module in classifier.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return PhotoNetwork(backbone, classifier, _replace_head(backbone, classifier, dropout))


def _replace_head(backbone: str, classifier: nn.Module, dropout: float) -> str:
    """Put Dropout + Linear in place of the last layer; return the head's top-level attribute."""
    for attribute in _HEADS:
        if not hasattr(classifier, attribute):
            continue
        layers = [
            (name, layer)
            for name, layer in classifier.named_modules()
            if name.split(".")[0] == attribute and isinstance(layer, nn.Linear | nn.Conv2d)
        ]
        name, last = layers[-1]
        fresh: nn.Module
        if isinstance(last, nn.Linear):
            fresh = nn.Linear(last.in_features, len(COUNTS))
        else:
            fresh = nn.Conv2d(last.in_channels, len(COUNTS), kernel_size=1)
        parent = classifier.get_submodule(name.rpartition(".")[0])
        has_dropout = any(isinstance(module, nn.Dropout) for module in getattr(classifier, attribute).modules())
        setattr(parent, name.rpartition(".")[2], fresh if has_dropout else nn.Sequential(nn.Dropout(dropout), fresh))
        return attribute
    raise TallyError(f"backbone '{backbone}' has no head under the names {', '.join(_HEADS)}; choose another one")


def find_weights(weights: str, backbone: str, places: Iterable[Path]) -> Path | None:
    """Return the file with pretrained weights, None for `none`.

    `weights` is `none`, `pretrained` or a file. For `pretrained` the directories `places` (a channel) come first,
    then `$TALLY_WEIGHTS_DIR` or what is baked into the image. In a directory `<backbone>*.pth|.safetensors` counts.
    Raises TallyError that lists where it looked.
    """
    if weights == "none":
        return None
    if weights != "pretrained":
        path = Path(weights)
        if not path.is_file():
            raise TallyError(f"weights file '{path}' does not exist; give a .pth or .safetensors file, or weights=none")
        return path
    looked = [*places, Path(os.environ.get(WEIGHTS_DIR_VARIABLE, BAKED_WEIGHTS))]
    for place in looked:
        files = sorted(file for kind in ("*.safetensors", "*.pth") for file in place.glob(backbone + kind))
        if files:
            return files[0]
    raise TallyError(
        f"no pretrained weights for backbone '{backbone}': looked for {backbone}*.pth and {backbone}*.safetensors in "
        f"{', '.join(map(str, looked))}; add the file to the weights channel or train with weights=none"
    )


def load_pretrained(network: PhotoNetwork, file: Path) -> None:
    """Load a backbone's weights, leaving the new head as it is; TallyError when they are of another network."""
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what is no weights file makes its readers raise almost anything
        raise TallyError(f"weights file '{file}' cannot be read ({error}); give a .pth or .safetensors file") from error
    if not isinstance(state, dict):
        raise TallyError(f"weights file '{file}' holds a {type(state).__name__}; give a state dict: names to tensors")
    wanted = {
        name: value.shape
        for name, value in network.classifier.state_dict().items()
        if not _in_new_layer(network, name) and not name.endswith("num_batches_tracked")
    }
    missing = [name for name, shape in wanted.items() if getattr(state.get(name), "shape", None) != shape]
    if missing:
        raise TallyError(
            f"weights file '{file}' does not fit backbone '{network.backbone}': {len(missing)} of {len(wanted)} "
            f"tensors are missing or of another shape, first '{missing[0]}'; give the weights of {network.backbone}"
        )
    network.classifier.load_state_dict({name: state[name] for name in wanted}, strict=False)


def _in_new_layer(network: PhotoNetwork, name: str) -> bool:
    """Is this tensor part of the layer that `_replace_head` made? Earlier layers of a head keep their weights."""
    last = [key for key in network.classifier.state_dict() if key.split(".")[0] == network.head][-1]
    return name.rpartition(".")[0] == last.rpartition(".")[0]


def freeze(network: PhotoNetwork, what: str, pretrained: bool) -> None:
    """Freeze `none`, `early` layers, `all_but_last_stage` or the whole `backbone`; the head always learns.

    Batch statistics of frozen parts stay as they are when they are `pretrained`. Those of random weights describe
    nothing yet, so they go on settling while the weights stay. Early layers of random weights are not frozen at all.

    Early layers are what lies before the third halving of the feature maps: up to `layer1` of a ResNet,
    `features[:4]` of MobileNetV2. They see edges and textures of any photo, and take half of a step's time. The last
    stage is what follows the last halving: `layer4` of a ResNet, the last convolution block of a VGG, `features[14:]`
    of MobileNetV2.
    """
    units = network.units()
    frozen: Sequence[nn.Module] = ()
    if what == "backbone":
        frozen = units
    elif what == "early" and pretrained:
        frozen = units[: _third_halving(units)]
    elif what == "all_but_last_stage":
        frozen = units[: _last_stage(units)]
    for module in frozen:
        for parameter in module.parameters():
            parameter.requires_grad = False
    still = {id(module) for module in frozen} if pretrained else set()
    network.frozen = tuple(name for name, module in network.named_modules() if id(module) in still)
    network.train(network.training)


def check_size(network: PhotoNetwork, size: int) -> None:
    """TallyError when the backbone cannot take photos of `size` pixels: some halve too often, some want one size."""
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TallyError(
            f"backbone '{network.backbone}' cannot take photos of image_size={size} ({reason}); "
            "choose a larger image_size (224, for inception_v3 299) or another backbone"
        ) from error


def _last_stage(units: Sequence[nn.Module]) -> int:
    """Index of the first unit of the last stage: the last one that halves and has parameters at or after it."""
    for index in reversed(range(len(units))):
        learns = any(True for unit in units[index:] for _ in unit.parameters())
        if learns and any(_halves(module) for module in units[index].modules()):
            return index
    return 0


def _third_halving(units: Sequence[nn.Module]) -> int:
    """Index of the unit that halves for the third time; 0 when there is none."""
    halvings = 0
    for index, unit in enumerate(units):
        halvings += any(_halves(module) for module in unit.modules())
        if halvings == 3:
            return index
    return 0


def _halves(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return False
    stride = module.stride
    return (stride if isinstance(stride, int) else max(stride)) > 1
