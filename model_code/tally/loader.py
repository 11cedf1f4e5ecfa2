"""Photos for training: decoded and augmented in worker processes, in an order that can be resumed anywhere.

What happens to a photo is a function of (seed, epoch, photo), never of the worker or the rank that decodes it.
"""

import io
import math
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from tally.cpus import usable_cpus
from tally.data.shards import Split
from tally.labels import class_index
from tally.letterbox import FILL, fitted_size, letterbox
from tally.ranks import Ranks
from tally.settings import TrainingSettings

cv2.setNumThreads(0)  # loaders are processes already: threads of several would wait for each other

Pixels = npt.NDArray[np.uint8]
Batch = tuple[Tensor, Tensor]  # photos uint8 [n, S, S, 3], class indices int64 [n]
_Pick = tuple[int, int]  # index into the split, how often it came before in this epoch
_Place = tuple[int, int, int]  # epoch, index into the split, how often it came before in this epoch
_LUMA = np.array([0.299, 0.587, 0.114])
"""What red, green and blue add to grey: ITU-R BT.601."""


@dataclass(frozen=True)
class Augmentation:
    """How far a training photo may differ from its original."""

    crop_scale: float
    flip: float
    rotation: float
    color_jitter: float
    stretch: float = 1.0

    @classmethod
    def of(cls, settings: TrainingSettings) -> "Augmentation":
        """Take the augmentation out of a job's settings."""
        return cls(settings.crop_scale, settings.flip, settings.rotation, settings.color_jitter, settings.stretch)

    def apply(self, image: Image.Image, size: int, chance: random.Random) -> Pixels:
        """Crop, turn, mirror and letterbox to [size, size, 3] in one resampling, then change the colours."""
        wide, high = fitted_size(image.size, size, self.stretch)
        scale_x, scale_y = image.width / wide, image.height / high
        area, ratio = chance.uniform(self.crop_scale, 1), math.exp(chance.uniform(-0.15, 0.15))
        keep_x, keep_y = min(1.0, math.sqrt(area * ratio)), min(1.0, math.sqrt(area / ratio))
        if self.crop_scale == 1:
            keep_x = keep_y = 1.0
        shift_x, shift_y = (chance.uniform(-1, 1) * (1 - keep) / 2 * size for keep in (keep_x, keep_y))
        mirror = -1 if chance.random() < self.flip else 1
        angle = math.radians(chance.uniform(-self.rotation, self.rotation))
        cos, sin = math.cos(angle), math.sin(angle)
        # The way back: from a pixel of the result to a pixel of the photo, around both centres. Pixels are points here,
        # so a centre lies half a pixel before the middle of the sides.
        a, b = scale_x * keep_x * mirror * cos, scale_x * keep_x * mirror * sin
        d, e = -scale_y * keep_y * sin, scale_y * keep_y * cos
        centre = (size - 1) / 2
        c = (image.width - 1) / 2 + scale_x * shift_x - (a + b) * centre
        f = (image.height - 1) / 2 + scale_y * shift_y - (d + e) * centre
        result = cv2.warpAffine(
            np.asarray(image),
            np.array([[a, b, c], [d, e, f]]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=FILL,
        )
        if self.color_jitter:
            light, contrast, color = (chance.uniform(1 - self.color_jitter, 1 + self.color_jitter) for _ in range(3))
            result = cv2.transform(result, _colors(light, contrast, color, cv2.mean(result)[:3]))
        return np.asarray(result, dtype=np.uint8)


def _colors(light: float, contrast: float, color: float, mean: Sequence[float]) -> npt.NDArray[np.float64]:
    """Brightness, contrast and saturation changed by these factors, 1 for not at all, as one matrix [3, 4] of RGB1.

    `mean`: of red, green and blue over the photo. Of Pillow's ImageEnhance Brightness, Contrast and Color one after the
    other, but rounded and cut off at 0 and 255 only once.
    """
    matrix = np.empty((3, 4))
    matrix[:, :3] = light * contrast * (color * np.eye(3) + (1 - color) * _LUMA)
    matrix[:, 3] = light * (1 - contrast) * (_LUMA @ mean)
    return matrix


class TrainingPhotos(Dataset[Any]):
    """Augmented photos of a split, asked for by (epoch, index, how often it came before in this epoch)."""

    def __init__(self, split: Split, size: int, augmentation: Augmentation, seed: int) -> None:
        self._split, self._size, self._augmentation, self._seed = split, size, augmentation, seed

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, place: _Place) -> tuple[Pixels, int]:
        epoch, index, before = place
        chance = random.Random(f"{self._seed}/{epoch}/{self._split.photos[index].id}" + f"/{before}" * (before > 0))
        with Image.open(io.BytesIO(self._split.jpeg(index))) as image:
            photo = self._augmentation.apply(image.convert("RGB"), self._size, chance)
        return photo, class_index(self._split.photos[index].count)


class ValidationPhotos(Dataset[Any]):
    """Photos of a split as the predictor sees them."""

    def __init__(self, split: Split, size: int, stretch: float = 1.0) -> None:
        self._split, self._size, self._stretch = split, size, stretch

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> tuple[Pixels, int]:
        with Image.open(io.BytesIO(self._split.jpeg(index))) as image:
            photo = letterbox(image.convert("RGB"), self._size, self._stretch)
        return np.asarray(photo), class_index(self._split.photos[index].count)


class Order(DistributedSampler[_Pick]):
    """One rank's share of an epoch in which every photo comes once, in an order that the epoch decides."""

    def __init__(self, photos: int, ranks: Ranks, seed: int) -> None:
        super().__init__(range(photos), ranks.world, ranks.rank, seed=seed, drop_last=True)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[_Pick]:
        for index in super().__iter__():
            yield index, 0  # type: ignore[misc]  # torch has the sampler give what the dataset takes


class BalancedOrder(Order):
    """One rank's share of an epoch in which every count that has photos comes equally often.

    Photos of a rare count come several times, of a common one not all in every epoch: a systematic sample (Madow 1949),
    so that within a count no photo comes twice more often than another.
    """

    def __init__(self, labels: Sequence[int], ranks: Ranks, seed: int) -> None:
        super().__init__(len(labels), ranks, seed)
        classes = np.asarray(labels)
        weights = 1 / np.bincount(classes)[classes]
        self._by_class = np.argsort(classes, kind="stable")  # walked class by class, a class has its share to within 1
        self._steps = np.cumsum(weights[self._by_class] / weights.sum())

    def __iter__(self) -> Iterator[_Pick]:
        chance = np.random.default_rng((self.seed, self.epoch))
        points = (np.arange(len(self._steps)) + chance.random()) / len(self._steps)
        order = self._by_class[np.searchsorted(self._steps[:-1], points, side="right")]
        chance.shuffle(order)
        seen: Counter[int] = Counter()
        picks: list[_Pick] = []
        for index in order.tolist():  # of all ranks: the second time is the second time wherever the first one was
            picks.append((index, seen[index]))
            seen[index] += 1
        return iter(picks[self.rank : self.total_size : self.num_replicas])


class ResumableBatches(Sampler[list[_Place]]):
    """One rank's batches of an epoch, from any step on.

    Together the ranks' k-th batches are the k-th global batch, whatever their number; a last incomplete global
    batch is left out, and another shuffle puts other photos there in the next epoch.
    """

    def __init__(self, split: Split, settings: TrainingSettings, ranks: Ranks) -> None:
        if settings.sampling == "balanced":
            labels = [class_index(photo.count) for photo in split.photos]
            self._order: Order = BalancedOrder(labels, ranks, settings.seed)
        else:
            self._order = Order(len(split), ranks, settings.seed)
        self._size = settings.batch_size // ranks.world
        self._epoch = self._first = 0

    def start(self, epoch: int, step: int) -> None:
        """The next iteration gives the batches of `epoch` from `step` on."""
        self._epoch, self._first = epoch, step
        self._order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._order) // self._size

    def __iter__(self) -> Iterator[list[_Place]]:
        places = [(self._epoch, index, before) for index, before in self._order]
        for step in range(self._first, len(self)):
            yield places[step * self._size : (step + 1) * self._size]


def training_loader(
    split: Split, settings: TrainingSettings, ranks: Ranks
) -> tuple[DataLoader[Batch], ResumableBatches]:
    """Return a loader of one rank's share, and its batches to `start` at an epoch and step."""
    photos = TrainingPhotos(split, settings.image_size, Augmentation.of(settings), settings.seed)
    batches = ResumableBatches(split, settings, ranks)
    workers = loader_workers(settings)
    loader: DataLoader[Batch] = DataLoader(
        photos,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        collate_fn=_collate,
        pin_memory=ranks.device.type == "cuda",
    )
    return loader, batches


def loader_workers(settings: TrainingSettings) -> int:
    """Loader processes of this rank: what is asked for, else the CPUs that ranks' own threads leave, at most 8."""
    if settings.workers >= 0:
        return settings.workers
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    busy = 1 if torch.cuda.is_available() else torch.get_num_threads()
    return max(0, min(8, usable_cpus() // ranks_here - busy))


def validation_loader(split: Split, settings: TrainingSettings, ranks: Ranks) -> DataLoader[Batch]:
    """Return a loader of every world-th photo: each photo is judged exactly once, none is padded in."""
    mine = range(ranks.rank, len(split), ranks.world)
    return DataLoader(
        ValidationPhotos(split, settings.image_size, settings.stretch),
        sampler=mine,
        batch_size=max(1, settings.batch_size // ranks.world),
        num_workers=loader_workers(settings),
        collate_fn=_collate,
        pin_memory=ranks.device.type == "cuda",
    )


def _collate(samples: list[tuple[Pixels, int]]) -> Batch:
    photos = torch.from_numpy(np.stack([photo for photo, _ in samples]))
    return photos, torch.tensor([label for _, label in samples])
