"""Which epoch's weights a run keeps, and when it ends early."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tally.outcome import as_good
from tally.trainer import Trainer
from tests.model_code.watched import network, splits, trained


def test_a_standard_error_is_that_of_a_share() -> None:
    # sqrt(0.5 * 0.5 / 400) = 0.025
    assert as_good(0.4751, 0.5, 400)
    assert not as_good(0.4749, 0.5, 400)
    assert as_good(0.0, 0.0, 10)
    assert not as_good(0.99, 1.0, 10)


@pytest.mark.parametrize(
    ("accuracies", "settings", "best", "epochs"),
    [
        ([50, 80, 79, 60], {}, 2, 4),  # of 100 photos 0.8 has a standard error of 0.04
        ([50, 80, 60, 76], {}, 3, 4),
        ([50, 80, 60, 75], {}, 1, 4),
        ([50, 48, 47, 60], {}, 3, 4),
        ([50, 80, 79, 78], {"patience": 2}, 3, 4),
        ([50, 80, 79, 78, 81], {"patience": 2}, 3, 4),
        ([50, 80, 79, 80, 81], {"patience": 2}, 3, 4),
        ([50, 80, 79, 82, 81], {"patience": 2}, 4, 5),
    ],
)
def test_the_last_epoch_is_kept_that_is_as_good_as_the_most_accurate_one(
    accuracies: list[int], settings: dict[str, int], best: int, epochs: int, tmp_path: Path
) -> None:
    seen: list[dict[str, Tensor]] = []

    def judged(model: nn.Module) -> tuple[float, Tensor]:
        confusion = torch.zeros(5, 5, dtype=torch.int64)
        confusion[0, 0] = accuracies[len(seen)]
        confusion[0, 1] = 100 - accuracies[len(seen)]
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return 1.0, confusion

    def script(trainer: Trainer) -> None:
        trainer._judge.loss_and_confusion = judged  # type: ignore[method-assign]  # what is seen shall be known

    photos = network()
    record = trained(
        tmp_path, photos, splits(tmp_path / "data", train=40), change=script, epochs=len(accuracies), **settings
    )
    assert (record["best_epoch"], len(record["history"])) == (best, epochs)
    assert all(torch.equal(value, seen[best][name]) for name, value in photos.state_dict().items())
    assert record["history"][-1]["best_validation_accuracy"] == pytest.approx(accuracies[best] / 100)
