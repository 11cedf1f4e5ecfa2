"""Baselines that look at no photo, and whether the source explains a model's accuracy."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from tally.evaluation.bootstrap import GroupBootstrap
from tally.evaluation.rules import learn
from tally.evaluation.scoring import Truth
from tally.evaluation.sources import SourceCheck, check_sources

Indices = npt.NDArray[np.int64]
TRAINED = {"counts_by_source": {"a": [50, 10, 0, 5, 0], "b": [10, 10, 30, 20, 9], "gone": [0, 0, 0, 60, 0]}}


def truth_of(true: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Truth:
    answers = np.asarray(true, dtype=np.int64)
    numbers = np.arange(len(answers)) if groups is None else np.asarray(groups, dtype=np.int64)
    return Truth(answers, tuple(str(number) for number in numbers), numbers)


def test_rules_learn_from_the_counts_that_training_left() -> None:
    found = learn(TRAINED, ["a", "b", "new"], truth_of([0, 0, 0]))
    assert found.basis == "the train split"
    # In all: 60, 20, 30, 85, 9 photos of 1 to 5.
    assert found.majority.tolist() == [3, 3, 3]
    assert found.median.tolist() == [2, 2, 2]
    assert found.source.tolist() == [0, 2, 3], "a new source gets the majority"
    # In relation to all photos: a has 50/60 of the ones; b all 30 threes and all 9 fives, and the lower count wins.
    assert found.balanced_source.tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    "counts",
    [None, {}, {"a": [1, 2]}, {"a": [1, 2, 3, 4, -5]}, {"a": ["1", 2, 3, 4, 5]}, {"a": [0, 0, 0, 0, 0]}, [1, 2]],
    ids=["none", "empty", "short", "negative", "text", "no photos", "no table"],
)
def test_without_usable_counts_rules_learn_from_the_other_groups(counts: object) -> None:
    found = learn({"counts_by_source": counts}, ["a"] * 4, truth_of([0, 0, 1, 2]))
    assert found.basis == "the test split without the photo's own group"
    assert found.majority.tolist() == [0, 0, 0, 0]


def test_no_photo_tells_its_own_groups_count() -> None:
    # One large group of fives: others may answer 5 for it, it may not itself.
    truth = truth_of([4, 4, 4, 4, 0, 0, 1], [0, 0, 0, 0, 1, 2, 3])
    found = learn({}, ["s"] * 7, truth)
    assert found.majority.tolist() == [0, 0, 0, 0, 4, 4, 4]


def test_majority_out_of_group_is_sklearns() -> None:
    generator = np.random.default_rng(0)
    true, groups = generator.choice(5, 90, p=[0.3, 0.3, 0.2, 0.1, 0.1]), generator.integers(0, 12, 90)
    groups = np.unique(groups, return_inverse=True)[1]
    expected = cross_val_predict(
        DummyClassifier(strategy="most_frequent"), np.zeros((90, 1)), true, groups=groups, cv=LeaveOneGroupOut()
    )
    assert learn({}, ["s"] * 90, truth_of(true, groups)).majority.tolist() == expected.tolist()


def checked(predicted: Indices, true: Indices, sources: list[str]) -> SourceCheck:
    truth = truth_of(true)
    rules = learn({}, sources, truth)
    models = {"challenger": predicted, "champion": np.zeros_like(predicted)}
    return check_sources(sources, truth, rules, models, GroupBootstrap(truth.group_numbers, seed=0))


def leaky(photos: int = 400) -> tuple[Indices, list[str]]:
    """Counts of which each source has nearly one."""
    generator = np.random.default_rng(1)
    source = generator.integers(0, 3, photos)
    true = np.where(generator.random(photos) < 0.8, source, generator.integers(0, 5, photos))
    return true, [f"site-{number}" for number in source.tolist()]


def test_a_model_that_has_only_learnt_the_source_is_exposed() -> None:
    true, sources = leaky()
    predicted = np.array([int(source[-1]) for source in sources])
    found = checked(predicted, true, sources)
    assert found.raw.alone == pytest.approx(np.mean(predicted == true))
    assert found.raw.gain == 0
    assert found.explained


def test_a_model_that_looks_at_photos_is_not_explained_by_the_source() -> None:
    true, sources = leaky()
    right = np.random.default_rng(2).random(len(true)) < 0.97
    predicted = np.where(right, true, (true + 1) % 5)
    found = checked(predicted, true, sources)
    assert found.balanced.gain + found.balanced.alone == pytest.approx(balanced_accuracy_score(true, predicted))
    assert found.raw.gain + found.raw.alone == pytest.approx(np.mean(predicted == true))
    assert not found.explained
    assert [row.photos for row in found.rows] == sorted((sources.count(name) for name in set(sources)), reverse=True)
    for row in found.rows:
        inside = np.array(sources) == row.source
        assert row.accuracy["challenger"] == pytest.approx(np.mean((predicted == true)[inside]))
        assert row.majority == pytest.approx(max(row.counts) / row.photos)
        assert row.intervals["challenger"][0] < row.accuracy["challenger"] < row.intervals["challenger"][1]


def test_a_gain_over_the_source_that_may_be_chance_is_still_explained_by_it() -> None:
    true, sources = leaky(200)
    predicted = np.array([int(source[-1]) for source in sources])
    wrong = np.flatnonzero(predicted != true)
    predicted[wrong[:2]] = true[wrong[:2]]
    lost = np.flatnonzero(predicted == true)[0]
    predicted[lost] = (true[lost] + 1) % 5
    found = checked(predicted, true, sources)
    assert found.raw.gain == pytest.approx(1 / 200)
    assert found.raw.interval[0] <= 0 < found.raw.interval[1]
    assert found.explained


def test_the_interval_inside_a_source_knows_that_one_group_has_half_of_its_photos() -> None:
    true, groups = np.zeros(100, dtype=np.int64), np.concatenate([np.zeros(50), np.arange(1, 51)])
    truth = truth_of(true, groups)
    models = {"challenger": true, "champion": true}
    rules = learn({}, ["a"] * 100, truth)
    (row,) = check_sources(["a"] * 100, truth, rules, models, GroupBootstrap(truth.group_numbers, seed=0)).rows
    assert (row.photos, row.groups) == (100, 51)
    assert row.intervals["challenger"] == pytest.approx((0.025 ** (2550 / 100**2), 1))


@pytest.mark.parametrize(("groups", "explained"), [(1, True), (9, True), (10, False)])
def test_of_few_groups_no_gain_over_the_source_is_sure(groups: int, explained: bool) -> None:
    true = np.arange(300) % 5
    truth = truth_of(true, np.arange(300) % groups)
    sources = ["a", "b"] * 150
    rules = learn({"counts_by_source": {"a": [9, 1, 1, 1, 1], "b": [9, 1, 1, 1, 1]}}, sources, truth)
    bootstrap = GroupBootstrap(truth.group_numbers, seed=0)
    found = check_sources(sources, truth, rules, {"challenger": true, "champion": true}, bootstrap)
    assert found.raw.interval[0] > 0
    assert found.explained is explained


def test_a_single_source_explains_nothing() -> None:
    true = np.arange(60) % 5
    assert not checked(np.zeros(60, dtype=np.int64), true, ["only"] * 60).explained
