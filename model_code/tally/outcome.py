"""What a training run leaves besides a network: its learning curve, and how it ended."""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class EpochResult:
    """One line of the learning curve. Losses are means a photo, rates photos a second over all ranks."""

    epoch: int
    train_loss: float
    train_accuracy: float
    train_macro_f1: float
    train_rmse: float
    validation_loss: float
    validation_accuracy: float
    validation_macro_f1: float
    validation_rmse: float
    photos_per_second: float
    lr: float
    seconds: float
    best_validation_accuracy: float

    def line(self) -> str:
        """The line that SageMaker's metric definitions read."""
        return " ".join(f"{name}={value:.6g}" for name, value in asdict(self).items())


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `history` has one result an epoch; the network holds the weights of `best_epoch`.

    That is the last epoch which is `as_good` as the most accurate one.
    """

    finished: bool  # False: asked to stop, and a checkpoint says where
    history: tuple[EpochResult, ...]
    best_epoch: int
    stopped_early: bool


def as_good(accuracy: float, most: float, photos: int) -> bool:
    """Is an accuracy, a share of `photos`, no more than a standard error below the highest?

    The one standard error rule of Breiman, Friedman, Olshen & Stone 1984, "Classification and Regression Trees",
    section 3.4.3. Of a few hundred photos the most accurate epoch is the luckiest one.
    """
    return accuracy >= most - math.sqrt(most * (1 - most) / photos)
