"""Runs a model over the test split, and times it the way it is served."""

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.cpus import usable_cpus
from tally.data.shards import Split
from tally.errors import TallyError
from tally.labels import class_index
from tally.metrics import Matrix, confusion_matrix
from tally.predictor import BadPhoto, Photos, Predictor, Probabilities

BATCH = 8
_WHOLE = 32
LATENCY_PHOTOS = 60


@dataclass(frozen=True)
class Truth:
    """What the test split says: class indices [n], a group a photo, and the groups by number [n]."""

    true: npt.NDArray[np.int64]
    groups: tuple[str, ...]
    group_numbers: npt.NDArray[np.int64]

    @classmethod
    def of(cls, split: Split) -> "Truth":
        """Read the manifest of `split`."""
        groups = tuple(photo.group for photo in split.photos)
        numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
        true = np.array([class_index(photo.count) for photo in split.photos], dtype=np.int64)
        return cls(true, groups, numbers.astype(np.int64))


@dataclass(frozen=True)
class Scored:
    """One model's answers to the whole split: `probabilities` float32 [n, 5], in the order of the photos.

    `photos_per_second` that this took, decoding included, on all CPUs.
    """

    model: str
    description: Mapping[str, Any]
    probabilities: Probabilities
    photos_per_second: float

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """Class indices [n]."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def confusion(self, truth: Truth) -> Matrix:
        """Confusion matrix, rows true."""
        return confusion_matrix(truth.true, self.predicted)


def score(name: str, model_dir: Path, split: Split) -> Scored:
    """Run the model in `model_dir` over all photos in batches, on all CPUs; one progress line every two seconds.

    A thread a CPU, each of which decodes a batch and runs it with one thread, so that none ever waits for another.
    The answers are those that batches of 32 give with any number of threads, to the last bit.
    TallyError names the photo that cannot be decoded.
    """
    predictor = Predictor.load(model_dir)
    rows: list[Probabilities] = []
    start = said = time.monotonic()
    speed = 0.0

    def decode(index: int) -> Photos:
        try:
            return predictor.decode(split.jpeg(index))
        except BadPhoto as error:
            raise TallyError(f"test photo {split.photos[index].id}: {error}; run Preprocess again") from error

    def count(batch: range) -> Probabilities:
        return predictor.probabilities(np.stack([decode(index) for index in batch]))

    with ThreadPoolExecutor(usable_cpus()) as pool:
        done = 0
        for found in pool.map(count, batches(len(split))):
            rows.append(found)
            now, done = time.monotonic(), done + len(found)
            speed = done / max(now - start, 1e-9)
            if now - said >= 2 or done == len(split):
                print(f"progress model={name} photos={done}/{len(split)} photos_per_second={speed:.1f}", flush=True)
                said = now
    return Scored(predictor.model, predictor.description, np.concatenate(rows), speed)


def batches(photos: int) -> Iterator[range]:
    """Indices of each batch: BATCH photos, and at the end, where fewer than _WHOLE are left, all of these.

    What a layer computes for a batch of 8 is still in the CPU's cache when the next one reads it. The last bits of an
    answer depend on the photo's place in its batch modulo 4 and on a rest at its end: batches of 8 and of 32 agree.
    """
    whole = photos - photos % _WHOLE
    yield from (range(first, first + BATCH) for first in range(0, whole, BATCH))
    if whole < photos:
        yield range(whole, photos)


def latencies(models: Mapping[str, Path], split: Split) -> dict[str, float]:
    """Return each model's median milliseconds for one stored photo, decoding included, on one thread.

    The models take turns on every photo, in every order equally often: a busy moment of the machine strikes all, and
    none profits more than others from memory that the one before has warmed.
    Stored photos are smaller than the originals: decoding a caller's photo takes longer.
    """
    predictors = {name: Predictor.load(path) for name, path in models.items()}
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for predictor in predictors.values():
        for _ in range(3):
            predictor.predict(split.jpeg(0))
    orders = list(itertools.permutations(predictors))
    for turn in range(LATENCY_PHOTOS):
        photo = split.jpeg(turn * len(split) // LATENCY_PHOTOS)
        for name in orders[turn % len(orders)]:
            start = time.perf_counter()
            predictors[name].predict(photo)
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}
