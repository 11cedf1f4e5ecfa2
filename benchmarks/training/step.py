"""How fast the trainer trains on photos from shards, or on the same batches that are in memory already. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.training.step --folder FOLDER --source shards --seconds 10

The trainer is the real one, with the default recipe and the memory settings of a job; only where its batches come from
differs.
"""

import json
import os
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import torch

from benchmarks.training.loader import BATCH
from benchmarks.training.prepare import SHARDS, VALIDATION
from tally import trainer
from tally.checkpoint import Checkpoints
from tally.container import MALLOC
from tally.data.shards import Split
from tally.loader import Batch, ResumableBatches, training_loader
from tally.network import build_network
from tally.ranks import Ranks, join_ranks, seed_all
from tally.settings import TrainingSettings

SOURCES = ("shards", "memory")
_WARM_STEPS = 3


class InMemory:
    """An epoch's batches, decoded before the first step; every epoch has the same ones."""

    def __init__(self, split: Split, settings: TrainingSettings, ranks: Ranks) -> None:
        loader, self.batches = training_loader(split, settings, ranks)
        self.batches.start(0, 0)
        self._content = list(loader)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._content)


def _in_memory(split: Split, settings: TrainingSettings, ranks: Ranks) -> tuple[InMemory, ResumableBatches]:
    found = InMemory(split, settings, ranks)
    return found, found.batches


def photos_per_second(folder: Path, settings: TrainingSettings, source: str, seconds: float) -> float:
    """Train for `seconds` after a few steps; epochs must be longer than that, for between two of them is a pause."""
    ends: list[float] = []

    def stop() -> bool:  # the trainer asks after every step
        ends.append(time.perf_counter())
        return len(ends) > _WARM_STEPS and ends[-1] - ends[_WARM_STEPS] > seconds

    seed_all(0)
    make = _in_memory if source == "memory" else training_loader
    with join_ranks() as ranks, tempfile.TemporaryDirectory() as scratch:
        with mock.patch.object(trainer, "training_loader", make):
            network = build_network(settings.backbone, settings.dropout)
            train, validation = Split.open(folder / SHARDS), Split.open(folder / VALIDATION)
            checkpoints = Checkpoints(Path(scratch), settings.as_dict())
            subject = trainer.Trainer(settings, ranks, network, train, validation, checkpoints, stop)
        subject.run(lambda _: None)
    steps = ends[_WARM_STEPS:]
    return settings.batch_size * (len(steps) - 1) / (steps[-1] - steps[0])


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.training.step", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.training.prepare makes it")
    parser.add_argument("--source", required=True, choices=SOURCES)
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if not MALLOC.keys() <= os.environ.keys():  # read when a process starts
        again = [sys.executable, "-m", "benchmarks.training.step", *sys.argv[1:]]
        os.execve(sys.executable, again, {**MALLOC, **os.environ})  # noqa: S606 - this very program
    settings = TrainingSettings(
        backbone=options.backbone, image_size=options.image_size, batch_size=BATCH, profile_steps=0
    )
    found = photos_per_second(options.folder, settings, options.source, options.seconds)
    print(json.dumps({"photos_per_second": found, "device": "cuda" if torch.cuda.is_available() else "cpu"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
