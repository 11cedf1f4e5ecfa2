"""The learning curve's arithmetic, and the same photos seen otherwise."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.recipes_curve import PowerLaw
from benchmarks.recipes_jobs import Splits
from benchmarks.recipes_report import curve
from benchmarks.recipes_views import DEVELOPMENT_SHARE, for_development, share_of_groups, shuffled_labels
from tally.data.shard_writer import Prepared, write_split
from tally.data.shards import Split
from tests.model_code.jobs import prepared

PHOTOS = (1000, 2000, 4000)


def test_a_power_law_is_found_again() -> None:
    law = PowerLaw.fit(PHOTOS, [1 - 3 * n**-0.25 for n in PHOTOS], [0.01] * 3)
    assert law.exponent == pytest.approx(0.25, abs=1e-6)
    expected, low, high = law.accuracy(530_000)
    assert expected == pytest.approx(1 - 3 * 530_000**-0.25, abs=1e-6)
    assert low < expected < high


def test_its_interval_holds_what_it_says() -> None:
    """Of laws fitted to noisy points 95% of the intervals hold the truth, also far beyond the points."""
    chance, held, rounds = np.random.default_rng(0), 0, 400
    truth = 1 - 3 * 100_000**-0.25
    for _ in range(rounds):
        noisy = [1 - 3 * n**-0.25 + chance.normal(0, 0.01) for n in PHOTOS]
        _, low, high = PowerLaw.fit(PHOTOS, noisy, [0.01] * 3).accuracy(100_000)
        held += low <= truth <= high
    assert 0.92 <= held / rounds <= 0.98


def test_uncertainty_grows_with_the_distance() -> None:
    law = PowerLaw.fit(PHOTOS, [0.40, 0.43, 0.47], [0.02] * 3)
    near, far = (law.accuracy(photos) for photos in (4000, 400_000))
    assert far[2] - far[1] > 2 * (near[2] - near[1])


@pytest.mark.parametrize(
    ("photos", "accuracies", "said"),
    [([1000, 1000], [0.4, 0.5], "at least two sizes"), ([1000, 2000], [0.5, 1.0], "no error left")],
)
def test_what_has_no_law_is_refused(photos: list[float], accuracies: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PowerLaw.fit(photos, accuracies, [0.01, 0.01])


def test_points_without_a_law_are_kept_and_said() -> None:
    point = {"share": 1.0, "photos": 900, "seed": 0, "epochs": 2, "points": {"accuracy": [0.5, 0.4, 0.6]}}
    law = {**dataclasses.asdict(PowerLaw(1.0, 0.2, ((0.01, 0.0), (0.0, 0.0004)))), "estimate": [0.7, 0.6, 0.8]}
    machine = {"processor": "any", "cpus": 1, "memory_gib": 1, "system": "Linux", "python": "3.11", "load": 0.0}
    result = {
        **{"points": [point], "photos": {"train": 900, "validation": 50, "test": 50}, "split": "test"},
        **{"machine": machine, "code": "abc", "estimate_at": 158_000},
    }
    page = curve({**result, "fits": {"accuracy": {"none": "too few"}}})
    assert "| 100%  |    900 |    0 |      2 | 0.500 (0.400 to 0.600) |" in page
    assert "No estimate of accuracy: too few." in page
    page = curve({**result, "fits": {"accuracy": law}})
    assert "to the power of -0.200 ± 0.020" in page
    assert "some 198,000 of them with 1 to 5 objects, 158,000 of those to train on: 0.700 (0.600 to 0.800)" in page


# Views


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """Prepared photos: 200, 50 and 40, two a group."""
    folder = tmp_path_factory.mktemp("splits")
    for seed, (name, photos) in enumerate({"train": 200, "validation": 50, "test": 40}.items()):
        (folder / name).mkdir()
        write_split(folder / name, _in_pairs(photos, seed), split=name, stored_side=40)
    return Splits(folder, "splits")


def _in_pairs(photos: int, seed: int) -> list[Prepared]:
    return [
        dataclasses.replace(photo, group=f"{seed}/{number // 2}", id=f"{seed}-{number * 2:05d}")
        for number, photo in enumerate(prepared(photos, seed))
    ]


def counts(split: Split) -> dict[str, int]:
    return {photo.id: photo.count for photo in split.photos}


def test_labels_are_permuted_where_models_learn_and_stay_true_where_they_are_judged(
    splits: Splits, tmp_path: Path
) -> None:
    view = shuffled_labels(splits, tmp_path, seed=1)
    for name in ("train", "validation"):
        before, after = Split.open(splits.folder / name), Split.open(view.folder / name)
        assert Counter(counts(before).values()) == Counter(counts(after).values())
        assert [bytes(after.jpeg(n)) for n in range(5)] == [bytes(before.jpeg(n)) for n in range(5)]
        agree = sum(counts(before)[key] == count for key, count in counts(after).items()) / len(before)
        assert 0.05 < agree < 0.4  # a fifth by chance
    assert Split.open(view.folder / "test").sha256 == Split.open(splits.folder / "test").sha256


def test_another_seed_permutes_otherwise_and_the_same_alike(splits: Splits, tmp_path: Path) -> None:
    first, again, other = (
        Split.open(shuffled_labels(splits, tmp_path / name, seed).folder / "train")
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first.sha256 == again.sha256 != other.sha256


def test_shares_are_nested_and_keep_groups_whole(splits: Splits, tmp_path: Path) -> None:
    found = {
        share: Split.open(share_of_groups(splits, tmp_path, share, 0).folder / "train") for share in (0.25, 0.5, 1)
    }
    assert [len(split) for split in found.values()] == [50, 100, 200]
    ids = [set(counts(split)) for split in found.values()]
    assert ids[0] < ids[1] < ids[2]
    assert set(Counter(photo.group for photo in found[0.25].photos).values()) == {2}
    view = share_of_groups(splits, tmp_path, 0.5, 0)
    for name in ("validation", "test"):
        assert Split.open(view.folder / name).sha256 == Split.open(splits.folder / name).sha256


def test_another_seed_takes_other_groups(splits: Splits, tmp_path: Path) -> None:
    one, other = (share_of_groups(splits, tmp_path, 0.5, seed).photos("train") for seed in (0, 1))
    assert {photo["id"] for photo in one} != {photo["id"] for photo in other}


def test_for_development_nothing_touches_the_test_split(splits: Splits, tmp_path: Path) -> None:
    view = for_development(splits, tmp_path)
    parts = {name: Split.open(view.folder / name) for name in ("train", "validation", "test")}
    assert counts(parts["test"]) == counts(Split.open(splits.folder / "validation"))
    train = counts(Split.open(splits.folder / "train"))
    assert len(parts["validation"]) == pytest.approx(DEVELOPMENT_SHARE * len(train), abs=2)
    assert set(counts(parts["validation"])) < set(train)
    assert not set(counts(parts["test"])) & set(train)
    numbers = {name: {int(photo.id.split("-")[1]) for photo in parts[name].photos} for name in ("train", "validation")}
    # Neighbours are one photo apart here: those of what is chosen on are in neither part.
    assert all(abs(a - b) > 2 for a in numbers["train"] for b in numbers["validation"])
    assert len(parts["train"]) < len(train) - len(parts["validation"])
