"""Suspicious labels: photos that a model which has not seen them contradicts. A list for people; nothing is dropped.

A job that trains only a head on a frozen, pretrained backbone ends with it. The backbone knows nothing of our labels,
so a fresh linear model on its features can be asked about each photo without having seen it, its group or its label:
group-wise cross-validation (the idea of C. Northcutt, L. Jiang, I. Chuang, "Confident Learning", JAIR 70, 2021). The
features of a backbone that was trained on these labels would repeat them, and those of random weights say little: such
jobs have no list.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tally.data.shards import Photo, Split
from tally.labels import COUNTS, class_index
from tally.loader import validation_loader
from tally.network import PhotoNetwork
from tally.ranks import Ranks
from tally.settings import TrainingSettings

FOLDS = 5
STRENGTH = 3e-4
"""Inverse regularisation of the linear model on standardised features. Of 1e-4 to 1e-2 the one that agreed best with
the labels of 4,185 real photos when 5% of them were changed; those are 9 of its first 20 and 23 of its first 60."""

FIT_MOST = 40_000
"""Photos that a fold's model is fitted on at most; all photos are asked about whatever their number."""

_SAY_EVERY = 10.0

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Suspects:
    """What the checker makes of the photos [n], all arrays in their order.

    `probabilities` [n, 5]: out of fold; `true`, `seen`: class indices; `score`: 0 where the label is what was seen,
    else up to 4, see `suspicion`; `order`: suspicious photos, the worst first.
    """

    probabilities: Floats
    true: Integers
    seen: Integers
    score: Floats
    order: Integers

    @property
    def accuracy(self) -> float:
        """How often the checker agrees with the label: of photos that it has not seen."""
        return float((self.seen == self.true).mean())

    @property
    def within_one(self) -> float:
        """How often it is at most one object away."""
        return float((np.abs(self.seen - self.true) <= 1).mean())

    @property
    def majority(self) -> float:
        """What always answering the commonest count would reach."""
        return float(np.bincount(self.true).max() / len(self.true))


def reason_to_skip(settings: TrainingSettings, splits: Sequence[Split]) -> str | None:
    """Why a finished job cannot check labels, or None when it can; an empty text when nobody would expect it to."""
    if settings.trial:
        return ""
    if settings.weights == "none":
        return "the backbone had random weights (weights=none), so no features know photos without knowing these labels"
    if settings.freeze != "backbone":
        return ""
    groups = {photo.group for split in splits for photo in split.photos}
    if len(groups) < 2 * FOLDS:
        return f"the photos have {len(groups)} groups, cross-validation wants at least {2 * FOLDS}"
    if len({photo.count for split in splits for photo in split.photos}) < 2:
        return "all photos have one label"
    return None


def check_labels(
    network: PhotoNetwork, settings: TrainingSettings, splits: Sequence[Split], device: torch.device
) -> Suspects:
    """Ask the cross-validated checker about every photo of `splits`, in their order."""
    features = np.concatenate([frozen_features(network, split, settings, device) for split in splits])
    photos: list[Photo] = [photo for split in splits for photo in split.photos]
    true = np.array([class_index(photo.count) for photo in photos], dtype=np.int64)
    groups = np.unique(np.array([photo.group for photo in photos]), return_inverse=True)[1]
    return suspects(out_of_fold(features, true, groups.astype(np.int64), settings.seed), true)


@torch.inference_mode()
def frozen_features(network: PhotoNetwork, split: Split, settings: TrainingSettings, device: torch.device) -> Features:
    """What the last part of the backbone hands to the head, averaged over places: float32 [n, channels]."""
    network = network.to(device).eval()
    alone = Ranks(rank=0, world=1, device=device)
    rows: list[npt.NDArray[np.float32]] = []
    started = said = time.monotonic()
    with _listening(network) as heard:
        for photos, _ in validation_loader(split, settings, alone):
            network(photos.to(device))
            rows.append(_pooled(heard.pop()).float().cpu().numpy())
            if time.monotonic() - said > _SAY_EVERY:
                said, done = time.monotonic(), sum(len(row) for row in rows)
                rate = done / (said - started)
                print(f"progress features photos={done}/{len(split)} at {rate:.0f} a second", flush=True)
    return np.concatenate(rows)


@contextmanager
def _listening(network: PhotoNetwork) -> Iterator[list[Tensor]]:
    """A list that receives the output of the last module before the head in every forward pass."""
    heard: list[Tensor] = []
    before = [module for name, module in network.classifier.named_children() if name != network.head and module]
    handle = before[-1].register_forward_hook(lambda _module, _inputs, output: heard.append(output))
    try:
        yield heard
    finally:
        handle.remove()


def _pooled(features: Tensor) -> Tensor:
    """[n, channels] of feature maps [n, channels, height, width], of tokens [n, tokens, channels], or as it is."""
    if features.ndim == 4:
        return features.mean(dim=(2, 3))
    return features.mean(dim=1) if features.ndim == 3 else features


def out_of_fold(features: Features, true: Integers, groups: Integers, seed: int) -> Floats:
    """Probabilities [n, 5] that linear models give to photos of groups that they were not fitted on.

    `features` [n, d]; `true` class indices [n]; `groups` numbers [n]. Classes weigh the same, so that a rare count is
    not suspicious for being rare.
    """
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes a second to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    found = np.zeros((len(true), len(COUNTS)))
    random = np.random.default_rng(seed)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # near its end the order hardly changes
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for fit, ask in folds.split(np.zeros(len(true)), true, groups):
            if len(fit) > FIT_MOST:
                fit = random.choice(fit, FIT_MOST, replace=False)
            if len(np.unique(true[fit])) == 1:
                found[ask, true[fit[0]]] = 1.0
                continue
            mean, spread = features[fit].mean(axis=0), features[fit].std(axis=0) + 1e-6
            model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=200)
            model.fit((features[fit] - mean) / spread, true[fit])
            found[np.ix_(ask, model.classes_)] = model.predict_proba((features[ask] - mean) / spread)
    return found


def suspects(probabilities: Floats, true: Integers) -> Suspects:
    """Rank photos by `suspicion`; ties stay in the order of the photos."""
    seen, score = suspicion(probabilities, true)
    order = np.argsort(-score, kind="stable")
    return Suspects(probabilities, true, seen, score, order[score[order] > 0].astype(np.int64))


def suspicion(probabilities: Floats, true: Integers) -> tuple[Integers, Floats]:
    """What was seen [n], and how strongly it contradicts the label [n].

    The margin of what was seen over the label (p(seen) - p(label), the "normalised margin" of confident learning) times
    the distance between them in objects: taking 5 for 1 is a worse contradiction than taking 2 for 1.
    """
    seen = probabilities.argmax(axis=1).astype(np.int64)
    at = np.arange(len(true))
    margin = probabilities[at, seen] - probabilities[at, true]
    return seen, margin * np.abs(seen - true)
