"""Scoring on all CPUs gives what batches of 32 gave, photo by photo, and names the photo that it cannot decode."""

from pathlib import Path

import numpy as np
import pytest

from tally.data.shards import Split
from tally.errors import TallyError
from tally.evaluation import scoring
from tally.evaluation.scoring import batches, score
from tally.labels import COUNTS
from tally.predictor import Predictor
from tests.model_code.tiny_model import write_model, write_test_split

N = 77


def make_split(folder: Path) -> Split:
    counts = np.random.default_rng(0).integers(1, 6, (4, N)).tolist()
    return Split.open(write_test_split(folder, *counts, [str(number) for number in range(N)]))


@pytest.mark.parametrize("photos", [1, 7, 8, 31, 32, 33, 64, 77, 1000])
def test_batches_hold_every_photo_once_in_order(photos: int) -> None:
    found = list(batches(photos))
    assert [index for batch in found for index in batch] == list(range(photos))
    assert all(len(batch) == scoring.BATCH for batch in found[: photos // 32 * 4])
    assert len(found) == photos // 32 * 4 + (photos % 32 > 0)


@pytest.mark.parametrize("cpus", [1, 3])
def test_answers_are_those_of_batches_of_32_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: int
) -> None:
    monkeypatch.setattr(scoring, "usable_cpus", lambda: cpus)
    split, model = make_split(tmp_path / "test"), write_model(tmp_path / "model", sharpness=3000.0)
    found = score("challenger", model, split)
    predictor = Predictor.load(model, 2)
    photos = np.stack([predictor.decode(split.jpeg(index)) for index in range(N)])
    once = np.concatenate([predictor.probabilities(photos[first : first + 32]) for first in range(0, N, 32)])
    assert (found.probabilities == once).all()
    assert len(set(found.predicted.tolist())) == len(COUNTS)
    assert found.photos_per_second > 0


def test_the_first_photo_that_cannot_be_decoded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split, model = make_split(tmp_path / "test"), write_model(tmp_path / "model")
    sound = split.jpeg
    monkeypatch.setattr(split, "jpeg", lambda index: memoryview(b"no photo") if index in (41, 70) else sound(index))
    with pytest.raises(TallyError, match=r"test photo 00041: the body is no image .*; run Preprocess again"):
        score("challenger", model, split)
