"""Order and augmentation: functions of the position in the run, not of who asks."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from tally.data.shards import Split
from tally.letterbox import letterbox
from tally.loader import Augmentation, BalancedOrder, TrainingPhotos, training_loader, validation_loader
from tally.ranks import Ranks
from tally.settings import TrainingSettings
from tests.model_code.jobs import make_channels

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(image_size=32, batch_size=8, workers=0, seed=3)


@pytest.fixture
def train(tmp_path: Path) -> Split:
    make_channels(tmp_path, train=45, validation=11)
    return Split.open(tmp_path / "input" / "data" / "train")


def batches(split: Split, rank: int, world: int, epoch: int, step: int = 0, workers: int = 0) -> list[torch.Tensor]:
    settings = TrainingSettings(image_size=32, batch_size=8, workers=workers, seed=3)
    loader, order = training_loader(split, settings, Ranks(rank, world, CPU))
    order.start(epoch, step)
    return [photos for photos, _ in loader]


def test_the_ranks_batches_together_are_the_batches_of_one_process(train: Split) -> None:
    alone, first, second = batches(train, 0, 1, 4), batches(train, 0, 2, 4), batches(train, 1, 2, 4)
    assert len(alone) == len(first) == len(second) == 5
    for whole, *halves in zip(alone, first, second, strict=True):
        assert {photo.numpy().tobytes() for photo in whole} == {
            photo.numpy().tobytes() for half in halves for photo in half
        }


def test_an_epoch_can_be_entered_at_any_step_with_any_workers(train: Split) -> None:
    whole = batches(train, 0, 1, 2)
    rest = batches(train, 0, 1, 2, step=3, workers=1)
    assert len(rest) == 2
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[3:], strict=True))


def test_epochs_differ_in_order_and_augmentation(train: Split) -> None:
    assert not torch.equal(batches(train, 0, 1, 0)[0], batches(train, 0, 1, 1)[0])


def test_validation_judges_every_photo_once_whatever_the_ranks(train: Split) -> None:
    seen = [
        photo.numpy().tobytes()
        for rank in range(3)
        for photos, _ in validation_loader(train, SETTINGS, Ranks(rank, 3, CPU))
        for photo in photos
    ]
    assert len(seen) == len(set(seen)) == len(train)


@pytest.mark.parametrize("stretch", [1, 1.4, 100])
def test_without_augmentation_a_training_photo_is_what_the_predictor_sees(stretch: float) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)).resize((480, 240))
    plain = Augmentation(crop_scale=1, flip=0, rotation=0, color_jitter=0, stretch=stretch)
    ours = plain.apply(image, 240, random.Random(0)).astype(np.float64)
    theirs = np.asarray(letterbox(image, 240, stretch), np.float64)
    assert np.abs(ours - theirs).mean() < 1.0


def test_mirroring_mirrors_and_a_crop_shows_a_part() -> None:
    image = Image.new("RGB", (64, 64))
    image.paste((255, 255, 255), (0, 0, 32, 64))
    mirrored = Augmentation(1, 1, 0, 0).apply(image, 64, random.Random(0))
    assert mirrored[:, 40:].min() == 255
    assert mirrored[:, :24].max() == 0
    cropped = Augmentation(0.2, 0, 0, 0).apply(image.resize((128, 128)), 64, random.Random(1))
    assert not (cropped == (124, 116, 104)).all(2).any(), "a crop of a square photo shows no bars"


def smooth(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(1).integers(60, 190, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


class Drawn(random.Random):
    """Chance that draws these numbers."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = iter(numbers)

    def uniform(self, _low: float, _high: float) -> float:
        return next(self._numbers)

    def random(self) -> float:
        return next(self._numbers)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_photo_is_cropped_turned_and_mirrored_as_pillow_does_it(mirrored: bool) -> None:
    image, size, degrees = smooth(90, 90), 64, 9.0
    # A crop of 0.64 of the area keeps 0.8 of each side; it is moved by all there is to the right, and half of that up.
    drawn = Drawn(0.64, 0.0, 1.0, -0.5, 0.0 if mirrored else 1.0, degrees)
    ours = Augmentation(0.5, 0.5, 10, 0).apply(image, size, drawn)
    x, y = (90 - 72) / 2 * 2, (90 - 72) / 2 * 0.5
    cut = image.transform((720, 720), Image.Transform.EXTENT, (x, y, x + 72, y + 72), Image.Resampling.BICUBIC)
    cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cut
    turned = cut.rotate(-degrees, Image.Resampling.BICUBIC)
    theirs = np.asarray(turned.resize((size, size), Image.Resampling.BOX), np.int64)
    inside = slice(12, -12)
    assert np.abs(ours.astype(np.int64) - theirs)[inside, inside].max() <= 3


@pytest.mark.parametrize(("light", "contrast", "color"), [(1.2, 1, 1), (1, 0.8, 1), (1, 1, 1.3), (0.9, 1.2, 0.7)])
def test_colours_change_as_with_pillow(light: float, contrast: float, color: float) -> None:
    image = smooth(64, 64)
    drawn = Drawn(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, light, contrast, color)
    ours = Augmentation(1, 0, 0, 0.3).apply(image, 64, drawn).astype(np.int64)
    for kind, factor in zip(("Brightness", "Contrast", "Color"), (light, contrast, color), strict=True):
        image = getattr(ImageEnhance, kind)(image).enhance(factor)
    assert np.abs(ours - np.asarray(image)).max() <= 3, "Pillow cuts fractions off three times"


def balanced_order(labels: list[int], rank: int, world: int, epoch: int) -> list[int]:
    order = BalancedOrder(labels, Ranks(rank, world, CPU), seed=5)
    order.set_epoch(epoch)
    return [index for index, _ in order]


def test_balanced_sampling_shows_every_count_equally_often_and_every_rank_its_share() -> None:
    labels = [0] * 20 + [2] * 2 + [4] * 11
    order = balanced_order(labels, 0, 1, epoch=1)
    assert Counter(labels[index] for index in order) == {0: 11, 2: 11, 4: 11}
    assert {order.count(index) for index in (20, 21)} == {5, 6}
    assert max(order.count(index) for index in range(20)) == 1
    mixed = np.random.default_rng(0).choice(5, 4000, p=(0.35, 0.16, 0.1, 0.15, 0.24)).tolist()
    found = Counter(mixed[index] for index in balanced_order(mixed, 0, 1, epoch=0))
    assert max(found.values()) - min(found.values()) <= 1, "in whatever order the photos lie"
    halves = [balanced_order(labels, rank, 2, epoch=1) for rank in range(2)]
    assert len(halves[0]) == len(halves[1]) == 16
    together = Counter(labels[index] for half in halves for index in half)
    assert max(together.values()) - min(together.values()) <= 1
    assert balanced_order(labels, 0, 1, epoch=2) != order
    assert balanced_order(labels, 0, 1, epoch=1) == order


def test_ranks_count_together_how_often_a_photo_came() -> None:
    labels = [0] * 20 + [2] * 2
    halves = [list(BalancedOrder(labels, Ranks(rank, 2, CPU), seed=5)) for rank in range(2)]
    rare = sorted(before for half in halves for index, before in half if index == 20)
    assert rare == list(range(len(rare)))
    assert len(rare) >= 5


def test_a_photo_that_comes_twice_in_an_epoch_is_augmented_anew(train: Split) -> None:
    photos = TrainingPhotos(train, 32, Augmentation.of(SETTINGS), seed=1)
    first, again, second = photos[0, 4, 0][0], photos[0, 4, 0][0], photos[0, 4, 1][0]
    assert (first == again).all()
    assert (first != second).any()
