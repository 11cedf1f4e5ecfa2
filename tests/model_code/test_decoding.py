"""Decodings and class-balanced figures against sklearn, numpy and hand computation."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from tally.decoding import DECODINGS, class_columns, decode, figures
from tally.metrics import balance, confusion_matrix, scalar_metrics

Indices = npt.NDArray[np.int64]

pairs_of_indices = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60).map(
    lambda pairs: np.array(pairs, dtype=np.int64).T
)


def weights(true: Indices) -> npt.NDArray[np.float64]:
    """One photo's weight where every count that has photos weighs the same."""
    return 1 / np.bincount(true, minlength=5)[true]


@settings(max_examples=60, deadline=None)
@given(pairs_of_indices)
def test_balanced_metrics_equal_sklearns_with_sample_weights(pairs: Indices) -> None:
    true, predicted = pairs
    found = scalar_metrics(balance(confusion_matrix(true, predicted)))
    each, present = weights(true), sorted(set(true.tolist()))
    kinds = {"labels": present, "average": "macro", "zero_division": 0, "sample_weight": each}
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true, predicted, sample_weight=each))
    assert found["accuracy"] == pytest.approx(scalar_metrics(confusion_matrix(true, predicted))["macro_recall"])
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(true, predicted, **kinds))
    assert found["macro_precision"] == pytest.approx(oracle.precision_score(true, predicted, **kinds))
    assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(true, predicted, sample_weight=each))
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(true, predicted, sample_weight=each))
    assert found["within_1"] == pytest.approx(np.average(np.abs(true - predicted) <= 1, weights=each))


@pytest.mark.parametrize("how", DECODINGS)
@pytest.mark.parametrize("seed", range(3))
def test_figures_of_every_decoding_equal_sklearns(how: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    true = generator.choice(5, 80, p=[0.5, 0.2, 0.2, 0.1, 0.0])  # no photo of 5
    answers = decode(generator.dirichlet(np.ones(5), 80), how)
    sums = class_columns(answers, true).sum(axis=0)
    for balanced in (False, True):
        found, each = figures(sums, balanced=balanced), weights(true) if balanced else None
        assert found["rmse"] == pytest.approx(oracle.root_mean_squared_error(true + 1, answers, sample_weight=each))
        assert found["mae"] == pytest.approx(oracle.mean_absolute_error(true + 1, answers, sample_weight=each))
        whole = np.floor(answers + 0.5).astype(int)
        assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true + 1, whole, sample_weight=each))
        assert found["within_1"] == pytest.approx(np.average(np.abs(true + 1 - whole) <= 1, weights=each))


def test_decodings_by_hand() -> None:
    wavering = [0.4, 0.1, 0.05, 0.1, 0.35]
    halves = [0.5, 0.0, 0.0, 0.0, 0.5]
    table = [wavering, halves, [0, 0, 0, 0, 1.0]]
    assert decode(table, "argmax").tolist() == [1, 1, 5]
    assert decode(table, "median").tolist() == [2, 1, 5]
    assert decode(table, "mean") == pytest.approx([0.4 + 0.2 + 0.15 + 0.4 + 1.75, 3, 5])
    with pytest.raises(ValueError, match="decoding is 'mode'; it must be one of argmax, median, mean"):
        decode(table, "mode")


def test_the_median_reaches_a_half_that_floats_miss() -> None:
    assert decode(np.array([[0.1, 0.2, 0.2, 0.3, 0.2]], dtype=np.float32), "median").tolist() == [3]


@pytest.mark.parametrize(("best", "figure"), [("argmax", "accuracy"), ("median", "mae"), ("mean", "rmse")])
def test_each_decoding_is_best_in_its_own_figure_when_probabilities_are_true(best: str, figure: str) -> None:
    generator = np.random.default_rng(4)
    probabilities = generator.dirichlet(np.full(5, 0.4), 30_000)
    true = (probabilities.cumsum(axis=1) < generator.random((30_000, 1))).sum(axis=1).clip(max=4)
    found = {
        how: float(figures(class_columns(decode(probabilities, how), true).sum(axis=0), balanced=False)[figure])
        for how in DECODINGS
    }
    assert best == (max(found, key=found.__getitem__) if figure == "accuracy" else min(found, key=found.__getitem__))
