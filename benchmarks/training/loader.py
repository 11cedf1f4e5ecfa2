"""How fast a loader gives batches, and what a photo costs of the CPUs. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.training.loader --folder FOLDER --kind ours --workers 2 --seconds 10

`ours` reads shards and does all that the default recipe does to a photo; `imagefolder` reads the original files, crops
with RandomResizedCrop and mirrors, which is what most training scripts do.
"""

import itertools
import json
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.training.prepare import ORIGINALS, SHARDS
from tally.data.shards import Split
from tally.loader import Batch, training_loader
from tally.ranks import Ranks
from tally.settings import TrainingSettings

BATCH = 32
_WARM_BATCHES = 4


def ours(folder: Path, image_size: int, workers: int) -> Iterator[Batch]:
    """The trainer's batches, epoch after epoch."""
    settings = TrainingSettings(image_size=image_size, batch_size=BATCH, workers=workers)
    loader, batches = training_loader(Split.open(folder / SHARDS), settings, Ranks(0, 1, torch.device("cpu")))
    for epoch in itertools.count():
        batches.start(epoch, 0)
        yield from loader


def imagefolder(folder: Path, image_size: int, workers: int) -> Iterator[Batch]:
    """torchvision's, with as many workers and as much prefetching; pixels stay uint8, as in ours."""
    crop = v2.RandomResizedCrop(image_size, scale=(TrainingSettings.crop_scale, 1.0))
    photos = ImageFolder(folder / ORIGINALS, v2.Compose([crop, v2.RandomHorizontalFlip(), v2.PILToTensor()]))
    loader: DataLoader[Batch] = DataLoader(
        photos,
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
    )
    while True:
        yield from loader


KINDS: dict[str, Callable[[Path, int, int], Iterator[Batch]]] = {"ours": ours, "imagefolder": imagefolder}


def measure(batches: Iterator[Batch], seconds: float) -> dict[str, float]:
    """Photos a second, and milliseconds of CPU time a photo, of this process and its workers."""
    for _ in range(_WARM_BATCHES):
        next(batches)
    cpu, began, photos = _cpu_seconds(), time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        photos += len(next(batches)[0])
    return {"photos_per_second": photos / passed, "cpu_ms": 1000 * (_cpu_seconds() - cpu) / photos}


def _cpu_seconds() -> float:
    here = psutil.Process()
    return float(sum(sum(process.cpu_times()[:2]) for process in (here, *here.children(recursive=True))))


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.training.loader", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.training.prepare makes it")
    parser.add_argument("--kind", required=True, choices=list(KINDS))
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(
        json.dumps(measure(KINDS[options.kind](options.folder, options.image_size, options.workers), options.seconds))
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
