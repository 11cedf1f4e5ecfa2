"""The model that every server answers with: a real model directory of the trainer's own exporter.

Speed does not depend on what a network has learnt, so random weights do. But answers must: servers that prepare photos
otherwise are found out only where counts differ between photos. So batch statistics are taken from the photos, and the
head is scaled so that each count has its share of the answers.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.errors import BenchError
from benchmarks.modules import ROOT
from local.platform import code_version
from tally.calibration import Calibration
from tally.data.shard_writer import Prepared, write_split
from tally.data.shards import Split
from tally.export import export_model
from tally.network import PhotoNetwork, build_network, check_size, load_pretrained
from tally.predictor import Limits, decode
from tally.settings import TrainingSettings

_MAKERS = ("onnx", "onnxruntime", "onnxscript", "torch", "torchvision")  # of the graph, with our code
_SEEN = 64  # photos that the network is fitted to
_NO_CALIBRATION = Calibration((1.0,) * 5, (0.0,) * 5, ((0.0, 0.0), (1.0, 1.0)), 1.0, 0.0, 0.0, 0.0)


def make_artifact(models: Path, photos: Sequence[bytes], backbone: str, size: int, weights: Path | None) -> Path:
    """A folder below `models` whose folder `model` is as a training job of `backbone` would leave it.

    What the same code and versions made of the same photos and weights is not made again: an export takes a quarter of
    a minute.
    """
    versions = [f"{name} {version(name)}" for name in _MAKERS]
    digest = hashlib.sha256(f"{code_version(ROOT / 'model_code')} {versions}".encode())
    for content in (Path(__file__).read_bytes(), weights.read_bytes() if weights else b"", *photos[:_SEEN]):
        digest.update(hashlib.sha256(content).digest())
    folder = models / f"{backbone}-{size}-{digest.hexdigest()[:12]}"
    if not folder.is_dir():
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models, prefix=".partial-") as scratch:
            made = Path(scratch, "made")
            _make(made, photos, backbone, size, weights)
            made.rename(folder)
    return folder


def _make(folder: Path, photos: Sequence[bytes], backbone: str, size: int, weights: Path | None) -> None:
    torch.manual_seed(0)
    network = build_network(backbone, 0.0)
    check_size(network, size)
    if weights:
        load_pretrained(network, weights)
    pixels = torch.from_numpy(np.stack([decode(photo, size, Limits()) for photo in photos[:_SEEN]]))
    with torch.inference_mode():
        if not weights:
            _settle(network, pixels)
        _spread(network, network.eval()(pixels))
    settings = TrainingSettings(backbone=backbone, image_size=size)
    with tempfile.TemporaryDirectory() as scratch:
        split = _split(Path(scratch), photos[:8])
        export_model(folder / "model", network, settings, split, split, _NO_CALIBRATION)


def _settle(network: PhotoNetwork, pixels: Tensor) -> None:
    """Take batch statistics from the photos: by those of an untrained network all photos end alike."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    network.train()(pixels)


def _spread(network: PhotoNetwork, logits: Tensor) -> None:
    """Scale the head so that over these photos the logit of every count has mean 0 and deviation 1."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise BenchError(
            f"{network.backbone} has no linear head, which this benchmark needs; choose another --backbone"
        )
    head = linear[-1]
    mean, deviation = logits.mean(0), logits.std(0)
    head.weight.data /= deviation[:, None]
    head.bias.data = (head.bias.data - mean) / deviation


def _split(folder: Path, photos: Sequence[bytes]) -> Split:
    """What the exporter checks itself with."""
    prepared = []
    for number, photo in enumerate(photos):
        digest = hashlib.sha256(photo).hexdigest()
        prepared.append(Prepared(f"{number:05d}", 1 + number % 5, f"csv:{number}", "bench", digest, 1, 1, photo))
    write_split(folder, prepared, split="validation", stored_side=1)
    return Split.open(folder)
