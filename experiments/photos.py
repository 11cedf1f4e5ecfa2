"""The development photos, divided anew for choosing a recipe.

Train and validation photos are put together and divided by group: `share` of them to train on, the rest to judge on,
since a recipe is chosen better on 1,600 photos than on the 470 of the validation split. The test split is never opened.
"""

import io
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tally.data.grouping import stable_hash
from tally.data.shards import Photo, Split
from tally.labels import class_index
from tally.letterbox import fitted_size, letterbox
from tally.loader import Augmentation

_STORED = 1.15  # Preprocess stores photos a little larger than the network sees them


class Photos:
    """Some photos of several splits, by one running index."""

    def __init__(self, items: Sequence[tuple[Split, int]]) -> None:
        self._items = items
        self.labels = np.array([class_index(self.photo(index).count) for index in range(len(items))])

    def __len__(self) -> int:
        return len(self._items)

    def photo(self, index: int) -> Photo:
        """The manifest's line of a photo."""
        split, place = self._items[index]
        return split.photos[place]

    def open(self, index: int) -> Image.Image:
        """The stored photo."""
        split, place = self._items[index]
        return Image.open(io.BytesIO(split.jpeg(place))).convert("RGB")

    def augmented(self, indices: Sequence[int], size: int, augmentation: Augmentation, seed: str) -> Tensor:
        """uint8 `[n, size, size, 3]`; what happens to a photo is a function of `seed` and its place in the batch."""
        made = []
        for place, index in enumerate(indices):
            image = self.open(index)
            side = round(_STORED * size)
            if max(image.size) > side:  # otherwise a small size would be judged with aliasing that a run has not
                image = image.resize(fitted_size(image.size, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
            made.append(augmentation.apply(image, size, random.Random(f"{seed}/{place}/{index}")))
        return torch.from_numpy(np.stack(made))

    def as_served(self, indices: Sequence[int], size: int, stretch: float) -> Tensor:
        """uint8 `[n, size, size, 3]` as the endpoint sees them."""
        return torch.from_numpy(np.stack([np.asarray(letterbox(self.open(i), size, stretch)) for i in indices]))


def divide(shards: Path, share: float) -> tuple[Photos, Photos]:
    """Photos to train on and photos to judge on, from the folders `train` and `validation` that Preprocess wrote."""
    sides: tuple[list[tuple[Split, int]], list[tuple[Split, int]]] = ([], [])
    for name in ("train", "validation"):
        split = Split.open(shards / name)
        for place, photo in enumerate(split.photos):
            sides[stable_hash("experiments", photo.group) / 2**64 >= share].append((split, place))
    return Photos(sides[0]), Photos(sides[1])
