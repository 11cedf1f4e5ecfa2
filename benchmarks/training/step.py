"""How fast the trainer trains on photos from shards, and on the same batches that are in memory already. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.training.step --folder FOLDER --seconds 10

The trainer is the real one, with the default recipe and the memory settings of a job; only where its batches come from
differs. Both come in turns of a few steps in one process: a machine's speed changes within a minute by more than photos
from shards cost.
"""

import itertools
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
from tally.loader import Batch, training_loader
from tally.network import build_network
from tally.ranks import Ranks, join_ranks, seed_all
from tally.settings import TrainingSettings

SOURCES = ("shards", "memory")
_TURN = 4  # steps


class Turns:
    """An epoch without end: some batches come from shards, as many from memory, and so on; and how long each took.

    Loader processes work ahead while batches come from memory, as much as they may. A turn therefore begins with as
    many steps that do not count.
    """

    def __init__(self, split: Split, settings: TrainingSettings, ranks: Ranks) -> None:
        self._loader, self._batches = training_loader(split, settings, ranks)
        self._ahead = (self._loader.prefetch_factor or 0) * self._loader.num_workers
        self.steps = dict.fromkeys(SOURCES, 0)
        self.seconds = dict.fromkeys(SOURCES, 0.0)

    def start(self, epoch: int, step: int) -> None:
        """Batches are the same wherever the trainer is."""

    def __len__(self) -> int:
        return sys.maxsize

    def __iter__(self) -> Iterator[Batch]:
        self._batches.start(0, 0)
        content = list(self._loader)
        sources = (self._from_shards(), itertools.cycle(content))
        steps = max(_TURN, self._ahead)
        for number, (name, batches) in enumerate(itertools.cycle(zip(SOURCES, sources, strict=True))):
            yield from itertools.islice(batches, self._ahead)
            began = _now()
            yield from itertools.islice(batches, steps)
            if number >= len(SOURCES):  # the first turn of each warms up
                self.steps[name] += steps
                self.seconds[name] += _now() - began

    def _from_shards(self) -> Iterator[Batch]:
        for epoch in itertools.count(1):
            self._batches.start(epoch, 0)
            yield from self._loader


def _now() -> float:
    """Seconds, once a GPU has done what it was asked for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def photos_per_second(folder: Path, settings: TrainingSettings, seconds: float) -> dict[str, float]:
    """Of each source, over at least `seconds` of steps from it."""
    seed_all(0)
    with join_ranks() as ranks, tempfile.TemporaryDirectory() as scratch:
        network = build_network(settings.backbone, settings.dropout)
        train, validation = Split.open(folder / SHARDS), Split.open(folder / VALIDATION)
        checkpoints, turns = Checkpoints(Path(scratch), settings.as_dict()), Turns(train, settings, ranks)

        def stop() -> bool:  # the trainer asks after every step
            return min(turns.seconds.values()) >= seconds

        with mock.patch.object(trainer, "training_loader", return_value=(turns, turns)):
            subject = trainer.Trainer(settings, ranks, network, train, validation, checkpoints, stop)
        subject.run(lambda _: None)
    return {name: settings.batch_size * turns.steps[name] / turns.seconds[name] for name in SOURCES}


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.training.step", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.training.prepare makes it")
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--seconds", type=float, default=10.0, help="of steps from each source")
    options = parser.parse_args()
    if not MALLOC.keys() <= os.environ.keys():  # read when a process starts
        again = [sys.executable, "-m", "benchmarks.training.step", *sys.argv[1:]]
        os.execve(sys.executable, again, {**MALLOC, **os.environ})  # noqa: S606 - this very program
    settings = TrainingSettings(
        backbone=options.backbone, image_size=options.image_size, batch_size=BATCH, profile_steps=0
    )
    found = photos_per_second(options.folder, settings, options.seconds)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(json.dumps({name: {"photos_per_second": rate, "device": device} for name, rate in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
