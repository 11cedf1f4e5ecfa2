"""Real training runs of networks so small that they take a second, and their records."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tally.checkpoint import Checkpoints
from tally.data.shard_writer import write_split
from tally.data.shards import Split
from tally.errors import TallyError
from tally.network import PhotoNetwork
from tally.ranks import Ranks, seed_all
from tally.settings import TrainingSettings
from tally.trainer import Trainer
from tally.training_record import training_record
from tests.model_code.jobs import prepared

# Photos as they are: the number of bright squares is then easily learnt.
PLAIN = {"crop_scale": 1.0, "rotation": 0.0, "color_jitter": 0.0, "image_size": 32, "workers": 0, "dropout": 0.0}
# A recipe that a few steps are enough for: no average over many of them, no softened labels.
SHORT = {
    "epochs": 6,
    "batch_size": 20,
    "lr": 0.01,
    "profile_steps": 0,
    "sampling": "natural",
    "softening": 0.0,
    "ema": 0.0,
    "mixup": 0.0,
}
ONE = Ranks(0, 1, torch.device("cpu"))


def network(*middle: nn.Module, features: int = 16, normalised: bool = True) -> PhotoNetwork:
    """Two convolutions and a head, alike every time; `middle` goes between them and gives `features`."""
    seed_all(0)

    def norm() -> nn.Module:
        return nn.BatchNorm2d(16, momentum=0.5) if normalised else nn.Identity()  # statistics follow a short run

    backbone = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, stride=2), norm(), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, stride=2), norm(), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *middle,
    )
    return PhotoNetwork("tiny", nn.Sequential(OrderedDict(features=backbone, fc=nn.Linear(features, 5))), "fc")


def splits(root: Path, train: int = 200, counts: tuple[int, ...] = (1, 2, 3, 4, 5)) -> tuple[Split, Split]:
    """A train split with only those photos of `train` that show `counts`, and a validation split with 100 of all."""
    photos = {
        "train": [photo for photo in prepared(train, seed=1) if photo.count in counts],
        "validation": prepared(100, seed=2),
    }
    for name, chosen in photos.items():
        (root / name).mkdir(parents=True)
        write_split(root / name, chosen, split=name, stored_side=40)
    return Split.open(root / "train"), Split.open(root / "validation")


def trained(
    root: Path,
    photos: PhotoNetwork | None = None,
    data: tuple[Split, Split] | None = None,
    stop: Callable[[], bool] = lambda: False,
    change: Callable[[Trainer], None] = lambda _: None,
    **settings: Any,
) -> dict[str, Any]:
    """Train with `settings` on top of a healthy recipe; return the record. `change` sees the trainer before it runs."""
    chosen = TrainingSettings(**(SHORT | PLAIN | settings))
    train, validation = data or splits(root / "data")
    seed_all(chosen.seed)
    checkpoints = Checkpoints(root / "checkpoints", chosen.as_dict())
    trainer = Trainer(chosen, ONE, photos or network(), train, validation, checkpoints, stop)
    change(trainer)
    try:
        outcome = trainer.run(lambda _: None)
    except TallyError:  # as a job does: what was seen until then is the record
        outcome = trainer.so_far()
    return training_record(chosen, train, validation, 1, outcome, trainer.watch.record())
