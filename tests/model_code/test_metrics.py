"""Metrics against sklearn, and their definitions at the edges."""

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from tally.evaluation.monitor import registry_metrics, weighted_metrics
from tally.labels import COUNTS
from tally.metrics import confusion_matrix, confusion_metrics, expected_calibration_error, scalar_metrics

Indices = npt.NDArray[np.int64]

pairs_of_indices = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60).map(
    lambda pairs: np.array(pairs, dtype=np.int64).T
)


@settings(max_examples=60, deadline=None)
@given(pairs_of_indices)
def test_every_scalar_metric_equals_sklearns(pairs: Indices) -> None:
    true, predicted = pairs
    found = confusion_metrics(confusion_matrix(true, predicted))
    present = sorted(set(true.tolist()))
    precision, recall, f1, _ = oracle.precision_recall_fscore_support(
        true, predicted, labels=present, average="macro", zero_division=0
    )
    assert found.accuracy == pytest.approx(oracle.accuracy_score(true, predicted))
    assert (found.macro_precision, found.macro_recall, found.macro_f1) == pytest.approx((precision, recall, f1))
    assert found.rmse == pytest.approx(oracle.root_mean_squared_error(true, predicted))
    assert found.mae == pytest.approx(oracle.mean_absolute_error(true, predicted))
    assert found.within_1 == pytest.approx((np.abs(true - predicted) <= 1).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn's kappa divides by zero where everything is one class
        kappa = oracle.cohen_kappa_score(true, predicted, labels=range(5), weights="quadratic")
    assert found.quadratic_kappa == pytest.approx(1.0 if np.isnan(kappa) else kappa, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(pairs_of_indices)
def test_every_per_class_metric_equals_sklearns(pairs: Indices) -> None:
    true, predicted = pairs
    precision, recall, f1, photos = oracle.precision_recall_fscore_support(
        true, predicted, labels=range(5), zero_division=0
    )
    for i, row in enumerate(confusion_metrics(confusion_matrix(true, predicted)).per_class):
        assert row.count == COUNTS[i]
        assert row.photos == photos[i]
        assert (row.precision, row.recall, row.f1) == pytest.approx((precision[i], recall[i], f1[i]))
        assert row.accuracy == pytest.approx(oracle.accuracy_score(true == i, predicted == i))
        mine = true == i
        assert row.rmse == pytest.approx(np.sqrt(((predicted[mine] - i) ** 2).mean()) if mine.any() else 0.0)


@settings(max_examples=30, deadline=None)
@given(pairs_of_indices)
def test_weighted_metrics_of_the_model_registry_equal_sklearns(pairs: Indices) -> None:
    true, predicted = pairs
    found = weighted_metrics(confusion_matrix(true, predicted))
    kinds = {"average": "weighted", "labels": range(5), "zero_division": 0}
    assert float(found["accuracy"]) == pytest.approx(oracle.accuracy_score(true, predicted))
    assert float(found["weighted_recall"]) == pytest.approx(oracle.recall_score(true, predicted, **kinds))
    assert float(found["weighted_precision"]) == pytest.approx(oracle.precision_score(true, predicted, **kinds))
    for name, beta in (("weighted_f0_5", 0.5), ("weighted_f1", 1), ("weighted_f2", 2)):
        assert float(found[name]) == pytest.approx(oracle.fbeta_score(true, predicted, beta=beta, **kinds))


def test_the_matrix_of_two_ranks_added_gives_the_metrics_of_all_photos() -> None:
    generator = np.random.default_rng(1)
    true, predicted = generator.integers(0, 5, (2, 100))
    halves = confusion_matrix(true[:37], predicted[:37]) + confusion_matrix(true[37:], predicted[37:])
    assert confusion_metrics(halves) == confusion_metrics(confusion_matrix(true, predicted))


def test_a_stack_of_matrices_gives_what_each_gives_alone() -> None:
    stack = np.random.default_rng(2).integers(0, 9, (7, 5, 5))
    together = scalar_metrics(stack)
    for i, matrix in enumerate(stack):
        alone = confusion_metrics(matrix)
        assert {name: float(values[i]) for name, values in together.items()} == pytest.approx(
            {name: getattr(alone, name) for name in together}
        )


def test_a_count_without_photos_costs_the_macro_averages_nothing() -> None:
    matrix = np.diag([4, 3, 0, 2, 1])
    found = confusion_metrics(matrix)
    assert found.macro_f1 == 1.0
    assert found.per_class[2].photos == 0
    assert (found.per_class[2].recall, found.per_class[2].precision, found.per_class[2].f1) == (0.0, 0.0, 0.0)


def test_one_count_everywhere_is_perfect_agreement_not_a_division_by_zero() -> None:
    matrix = np.zeros((5, 5), dtype=np.int64)
    matrix[2, 2] = 8
    assert confusion_metrics(matrix).quadratic_kappa == 1.0


def test_metrics_as_data_are_keyed_by_count() -> None:
    data = confusion_metrics(np.eye(5, dtype=np.int64)).as_dict()
    assert data["photos"] == 5
    assert list(data["per_class"]) == ["1", "2", "3", "4", "5"]
    assert data["per_class"]["3"]["count"] == 3


@pytest.mark.parametrize(
    ("true", "predicted"),
    [([], []), ([0, 1], [0]), ([[0, 1]], [[0, 1]]), ([0, 5], [0, 1]), ([0, -1], [0, 1]), ([0.0, 1.0], [0, 1])],
    ids=["empty", "unequal", "two dimensions", "too high", "negative", "not integers"],
)
def test_a_confusion_matrix_of_nonsense_is_refused(true: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"need equal, not 0|integers from 0 to 4"):
        confusion_matrix(true, predicted)


@pytest.mark.parametrize("matrix", [np.zeros((5, 5)), np.ones((4, 4)), -np.eye(5)], ids=["empty", "4 x 4", "negative"])
def test_metrics_of_a_matrix_without_photos_are_refused(matrix: npt.NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="5 x 5 counts with at least one photo"):
        confusion_metrics(matrix)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    # Three photos at 0.9 of which two are right, one at 0.5 that is wrong: (|2 - 2.7| + |0 - 0.5|) / 4
    sure, unsure = [0.9, 0.1, 0, 0, 0], [0.5, 0.5, 0, 0, 0]
    error = expected_calibration_error([sure, sure, sure, unsure], [0, 0, 1, 2])
    assert error == pytest.approx((0.7 + 0.5) / 4)


def test_calibration_error_of_a_model_that_means_what_it_says_is_small() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(5), 20_000)
    true = (probabilities.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)
    assert expected_calibration_error(probabilities, true) < 0.02
    with pytest.raises(ValueError, match=r"need \[n, 5\]"):
        expected_calibration_error(probabilities[:3], true[:2])


def test_the_registry_form_has_value_and_deviation_of_model_and_constant_classifier() -> None:
    matrix = confusion_matrix([0, 0, 0, 1, 4], [0, 0, 1, 1, 4])
    found = registry_metrics(matrix, np.stack([matrix, matrix, matrix]).astype(np.float64))
    assert found["confusion_matrix"]["1"] == {"1": 2, "2": 1, "3": 0, "4": 0, "5": 0}
    assert found["accuracy"] == {"value": 0.8, "standard_deviation": pytest.approx(0)}
    assert found["accuracy_best_constant_classifier"]["value"] == 0.6
    names = {name.removesuffix("_best_constant_classifier") for name in found} - {"confusion_matrix"}
    assert names == {"accuracy", "weighted_recall", "weighted_precision", "weighted_f0_5", "weighted_f1", "weighted_f2"}
