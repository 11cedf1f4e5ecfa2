"""Calibration and averaged weights, against what they must recover."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from torch import nn

from tally.averaging import averaged
from tally.calibration import AnswerScaling, Calibration, ConfidenceCurve, fit_temperature
from tally.metrics import expected_calibration_error


def drawn(temperature: float, photos: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    chance = np.random.default_rng(0)
    logits = chance.normal(0, 3, (photos, 5))
    steps = softmax(logits / temperature, axis=1).cumsum(1)
    return logits, (chance.random((photos, 1)) > steps).sum(1).clip(max=4)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def answered(logits: np.ndarray) -> np.ndarray:
    """Chances that the answer is right which no temperature gives: 0.9 for the first count, 0.3 for all others."""
    return np.where(logits.argmax(1) == 0, 0.9, 0.3)


def drawn_by_answer(photos: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unsure logits, and labels that are the answer with the chances of `answered`, else one of the others."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 0.5, (photos, 5))
    right = chance.random(photos) < answered(logits)
    others = (logits.argmax(1) + chance.integers(1, 5, photos)) % 5
    return torch.from_numpy(logits), torch.from_numpy(np.where(right, logits.argmax(1), others))


def test_a_common_temperature_is_mended_and_no_count_is_changed() -> None:
    logits, true = (torch.from_numpy(array) for array in drawn(3.0))
    found = Calibration.fit(logits, true)
    assert found.ece_before > 0.2
    assert max(found.ece_tempered, found.ece_after) < 0.02
    assert found.temperatures == pytest.approx([3.0] * 5, rel=0.1)
    assert (found.scaling()(logits).argmax(1) == logits.argmax(1)).all()


def test_answers_that_are_right_more_or_less_often_than_others_get_the_confidence_that_they_deserve() -> None:
    found = Calibration.fit(*drawn_by_answer(20_000))
    assert found.ece_tempered > 0.1, "one temperature cannot"
    assert found.ece_after < 0.03
    logits, true = drawn_by_answer(20_000, seed=1)
    probabilities = found.scaling()(logits).numpy()
    assert expected_calibration_error(probabilities, true.numpy()) < 0.03, "on photos that it was not fitted on"
    assert (probabilities.argmax(1) == logits.numpy().argmax(1)).all()
    assert np.abs(probabilities.max(1) - answered(logits.numpy())).mean() < 0.1


@settings(deadline=None)
@given(
    logits=arrays(np.float32, (3, 5), elements=st.floats(-50, 50, width=32)),
    temperatures=st.lists(st.floats(0.05, 20), min_size=5, max_size=5),
    biases=st.lists(st.floats(-10, 10), min_size=5, max_size=5),
)
def test_scaling_keeps_the_answer_and_the_odds_of_the_others(
    logits: np.ndarray, temperatures: list[float], biases: list[float]
) -> None:
    plain = torch.from_numpy(logits)
    found = AnswerScaling(temperatures, biases)(plain)
    assert torch.allclose(found.sum(1), torch.ones(3))
    answer = plain.argmax(1)
    assert (found.gather(1, answer[:, None]) == found.amax(1, keepdim=True)).all()
    others = torch.ones(3, 5, dtype=torch.bool).scatter(1, answer[:, None], False)
    tempered = (plain / torch.tensor(temperatures)[answer][:, None])[others].view(3, 4).softmax(1)
    kept = found[others].view(3, 4)
    torch.testing.assert_close(kept, tempered * kept.sum(1, keepdim=True), rtol=1e-4, atol=1e-6)


@given(
    logits=arrays(np.float32, (3, 5), elements=st.floats(-100, 100, width=32)),
    heights=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_the_curve_rises_keeps_the_answer_and_the_odds_of_the_others(logits: np.ndarray, heights: list[float]) -> None:
    places, heights = [0.0, 0.3, 0.5, 1.0], sorted(heights)
    plain = torch.from_numpy(logits).softmax(1)
    found = ConfidenceCurve(list(zip(places, heights, strict=True)))(plain)
    assert torch.allclose(found.sum(1), torch.ones(3), atol=1e-5)
    answer = plain.argmax(1, keepdim=True)
    assert (found.gather(1, answer) == found.amax(1, keepdim=True)).all()
    wanted = np.interp(plain.amax(1).numpy(), places, heights)
    rest, before = (found.scatter(1, answer, 0.0), plain.scatter(1, answer, 0.0))
    lifted = found.amax(1).numpy() > wanted + 1e-5
    assert found.amax(1).numpy()[~lifted] == pytest.approx(wanted[~lifted], abs=1e-4)
    assert (found.amax(1) - rest.amax(1)).numpy()[lifted] == pytest.approx(0, abs=3e-3), "no more than it takes to lead"
    clear = before.sum(1) > 1e-3
    torch.testing.assert_close(rest[clear] * before.sum(1)[clear, None], before[clear] * rest.sum(1)[clear, None])


def test_the_curve_mends_what_no_temperature_and_no_bias_can() -> None:
    """Right in 2 of 5 cases below a confidence of 0.6 and in 9 of 10 above, whatever the answer."""

    def photos(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        chance = np.random.default_rng(seed)
        logits = chance.normal(0, 1.5, (20_000, 5))
        right = chance.random(len(logits)) < np.where(softmax(logits, axis=1).max(1) < 0.6, 0.4, 0.9)
        others = (logits.argmax(1) + chance.integers(1, 5, len(logits))) % 5
        return torch.from_numpy(logits), torch.from_numpy(np.where(right, logits.argmax(1), others))

    found = Calibration.fit(*photos(0))
    logits, true = photos(1)
    scaled = AnswerScaling(found.temperatures, found.biases)(logits)
    without, with_curve = (
        expected_calibration_error(probabilities.numpy(), true.numpy())
        for probabilities in (scaled, found.scaling()(logits))
    )
    assert without > 0.05
    assert with_curve < without / 2
    knots = np.array(found.curve)
    assert (np.diff(knots[:, 1]) > 0).all(), "photos keep their order"
    assert (np.diff(knots[:, 1]) / np.diff(knots[:, 0])).max() <= 25
    assert (knots[0, 0], knots[-1, 0]) == (0, 1)


def test_rounding_is_not_made_more_of_where_confidences_are_all_alike() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 1e-5, (60, 5)))
    scaling = Calibration.fit(logits, logits.argmax(1)).scaling()
    moved = (scaling(logits) - scaling(logits + 1e-6)).abs().max()
    assert moved < 1e-4


@pytest.mark.filterwarnings("ignore")  # the exporter's own
def test_the_exported_curve_stands_answers_that_are_certain(tmp_path: Path) -> None:
    """What a model that is always right on validation ends with: 1 for a count and 0 for all others."""
    found = Calibration.fit(torch.eye(5, dtype=torch.float64).repeat(20, 1) * 9, torch.arange(5).repeat(20))
    logits = torch.tensor([[300.0, 0, 1, 0, 0], [9.0, 0, 0, 0, 0], [0.1, 0, 0, 0, 0]])
    torch.onnx.export(
        found.scaling(), (logits,), tmp_path / "curve.onnx", dynamo=True, input_names=["logits"], verbose=False
    )
    session = onnxruntime.InferenceSession(tmp_path / "curve.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"logits": logits.numpy()})
    np.testing.assert_allclose(theirs, found.scaling()(logits).numpy(), atol=1e-5)
    assert theirs.sum(1).tolist() == pytest.approx([1] * 3)


def test_an_answer_that_few_photos_get_stays_near_the_common_temperature() -> None:
    logits, true = (torch.from_numpy(array) for array in drawn(3.0, photos=200))
    some = logits.argmax(1) != 4
    found = Calibration.fit(logits[some], true[some])
    assert found.temperatures[4] == pytest.approx(found.temperature, rel=0.01)
    assert found.biases[4] == pytest.approx(0, abs=0.01)


def test_what_is_fitted_is_the_best_of_a_fine_grid() -> None:
    logits, true = drawn_by_answer(300)
    found = Calibration.fit(logits, true)
    mine = logits.argmax(1) == 0

    def cost(temperature: float, bias: float) -> float:
        probabilities = AnswerScaling([temperature] * 5, [bias] * 5)(logits[mine])
        loss = -probabilities[torch.arange(int(mine.sum())), true[mine]].log().sum()
        return float(loss + np.log(temperature / found.temperature) ** 2 / 2 + bias**2 / 8)

    grid = [cost(t, b) for t in np.geomspace(0.05, 20, 60) for b in np.linspace(-4, 4, 60)]
    assert cost(found.temperatures[0], found.biases[0]) <= min(grid) + 1e-4


def test_a_model_that_is_always_right_keeps_a_finite_temperature() -> None:
    assert 0.05 <= fit_temperature(20 * np.eye(5), np.arange(5)) < 1


def test_logits_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="finite logits"):
        fit_temperature(np.full((3, 5), np.nan), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="at least one photo"):
        fit_temperature(np.zeros((0, 5)), np.zeros(0, np.int64))


def test_averaged_weights_are_the_moving_average_of_weights_and_batch_statistics() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = averaged(network, decay=0.5)
    expected = network[0].weight.detach().clone()
    for step in range(30):
        with torch.no_grad():
            network[0].weight.add_(1.0)
            network[1].running_mean.fill_(float(step))
        average.update_parameters(network)
        decay = 0.0 if step == 0 else min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    assert torch.allclose(average.module[0].weight, expected)
    assert 27 < average.module[1].running_mean[0] < 29
