"""Temperature scaling and averaged weights, against what they must recover."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn

from tally.averaging import averaged
from tally.calibration import fit_temperature
from tally.export import Calibration


def drawn(temperature: float, photos: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    chance = np.random.default_rng(0)
    logits = chance.normal(0, 3, (photos, 5))
    steps = softmax(logits / temperature, axis=1).cumsum(1)
    return logits, (chance.random((photos, 1)) > steps).sum(1).clip(max=4)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_it_calibrates_without_changing_a_count() -> None:
    logits, true = drawn(3.0)
    found = Calibration.fit(torch.from_numpy(logits), torch.from_numpy(true))
    assert found.ece_before > 0.2
    assert found.ece_after < 0.02
    assert ((logits / found.temperature).argmax(1) == logits.argmax(1)).all()


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
