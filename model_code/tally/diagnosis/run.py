"""What rules are given and what they give: a view of a training record, and findings."""

import math
import statistics
from dataclasses import dataclass
from typing import Any, Literal

from tally.labels import COUNTS

# What a step consists of; validation and checkpoints come between epochs.
TRAINING_PHASES = ("data", "copy", "forward", "backward", "all_reduce", "optimiser", "other")
# CS231n's rule of thumb: a step moves weights by about a thousandth. A hundred times less would need a hundred times
# the epochs; a third is no longer a correction of what was learnt.
GOOD_UPDATE, TOO_SMALL, TOO_LARGE = 1e-3, 1e-5, 0.3
Severity = Literal["problem", "hint"]


class CannotTell(Exception):  # noqa: N818 - an answer of a rule, not an error
    """A rule lacks evidence; the message says which."""


@dataclass(frozen=True)
class Finding:
    """What a rule found: `evidence` in numbers, and the hyperparameter to change and to what."""

    rule: str
    severity: Severity
    evidence: str
    setting: str
    value: str
    because: str

    def line(self, now: Any = None) -> str:
        """One line for a log. It has no `name=value` in it, which a job's metric definitions would read."""
        present = "" if now is None else f" (now {now})"
        change = f"set {self.setting} to {self.value}{present}"
        return f"{self.severity}: {self.rule}: {self.evidence}; {change}: {self.because}"


class Run:
    """A training record (the content of training.json), read the way rules ask.

    Everything raises CannotTell where the record does not hold it: an older record, or a part that was not watched.
    """

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.settings: dict[str, Any] = record["settings"]
        self.history: list[dict[str, Any]] = record["history"]
        self.ranks: int = record["ranks"]

    @property
    def watch(self) -> dict[str, Any]:
        """What was observed."""
        found: dict[str, Any] | None = self.record.get("watch")
        if not found or not found["epochs"]:
            raise CannotTell("the run was not watched")
        return found

    @property
    def steps(self) -> int:
        """Steps that were watched."""
        return sum(epoch["steps"] for epoch in self.watch["epochs"])

    @property
    def gpu(self) -> bool:
        """Did it run on GPUs?"""
        return bool(self.watch["device"] != "cpu")

    def finished(self, epochs: int) -> list[dict[str, Any]]:
        """The learning curve, at least `epochs` long."""
        if len(self.history) < epochs:
            raise CannotTell(f"{epochs} finished epochs are needed, there are {len(self.history)}")
        if any(value is None for row in self.history for value in row.values()):
            raise CannotTell("a loss was not finite")
        return self.history

    def first_step(self) -> dict[str, Any]:
        """Losses and layers before the first update."""
        found: dict[str, Any] | None = self.watch["first_step"]
        if not found:
            raise CannotTell("the first step was not watched")
        return found

    def health(self) -> list[dict[str, Any]]:
        """Layers at the end of each epoch that was watched to its end; at least one."""
        found = [epoch["health"] | {"epoch": epoch["epoch"]} for epoch in self.watch["epochs"] if "health" in epoch]
        if not found:
            raise CannotTell("no epoch was watched to its end")
        return found

    def steady_seconds(self) -> dict[str, float]:
        """Seconds by phase of training, without the first epoch (threads start, caches fill) where there are more."""
        epochs = self.watch["epochs"]
        steady = epochs[1:] or epochs
        if sum(epoch["steps"] for epoch in steady) < 10:
            raise CannotTell("fewer than 10 steps")
        return {name: sum(epoch["seconds"].get(name, 0.0) for epoch in steady) for name in TRAINING_PHASES}

    def photos(self, split: str) -> list[int]:
        """Photos of each count in a split."""
        if "splits" not in self.record:
            raise CannotTell("the record does not tell the photos of each count")
        counts = self.record["splits"][split]["counts"]
        return [counts[str(count)] for count in COUNTS]

    def validation_confusion(self, epoch: int) -> list[list[int]]:
        """Validation photos after an epoch by true count (rows) and predicted count."""
        for seen in self.watch["epochs"]:
            if seen["epoch"] == epoch and "validation_confusion" in seen:
                found: list[list[int]] = seen["validation_confusion"]
                return found
        raise CannotTell(f"epoch {epoch} was not watched")

    def validation_accuracy(self, epoch: int) -> float:
        """Accuracy on validation of what training's is measured on: class-balanced where sampling is."""
        rows = self.validation_confusion(epoch)
        if self.settings.get("sampling") == "balanced":
            return statistics.fmean(row[index] / sum(row) for index, row in enumerate(rows) if sum(row))
        return sum(row[index] for index, row in enumerate(rows)) / sum(map(sum, rows))

    def balanced(self) -> bool:
        """Does the job do something about unequal numbers of photos?"""
        return self.settings.get("sampling") == "balanced" or self.settings["class_weighting"] == "balanced"

    def guess(self) -> float:
        """Accuracy on training photos of always giving the same count, with three standard errors of luck."""
        photos = self.photos("train")
        total = sum(photos)
        present = sum(number > 0 for number in photos)
        share = 1 / present if self.settings.get("sampling") == "balanced" else max(photos) / total
        return share + 3 * math.sqrt(share * (1 - share) / total)

    def update_ratio(self) -> float:
        """How far a step at the highest rate moves a layer's weights, relative to them; the median of layers.

        A step moves weights in proportion to its rate, with Adam and with SGD, so what was seen in the first step and
        at the ends of epochs is scaled to the setting. The largest counts: weights that were thrown far away are
        long, and later steps are short beside them.
        """
        rates = {row["epoch"]: row["lr"] for row in self.history}
        seen = [
            (epoch["health"]["updates"], rates.get(epoch["epoch"]))
            for epoch in self.watch["epochs"]
            if "health" in epoch
        ]
        if first := self.watch["first_step"]:
            seen.append((first.get("updates", []), first.get("lr")))
        ratios = [
            statistics.median(known) * self.settings["lr"] / rate
            for updates, rate in seen
            if rate and (known := [ratio for ratio in updates if ratio is not None])
        ]
        if not ratios:
            raise CannotTell("no layer was watched")
        return float(max(ratios))

    def other_rate(self) -> tuple[str, str]:
        """A learning rate to try, and why: one with steps of a usual size, else a tenth."""
        lr = float(self.settings["lr"])
        try:
            ratio = self.update_ratio()
        except CannotTell:
            ratio = GOOD_UPDATE
        if TOO_SMALL < ratio < TOO_LARGE:
            return round_figure(lr / 10), "smaller steps are steadier"
        wanted = min(max(lr * GOOD_UPDATE / max(ratio, 1e-30), 1e-6), 0.1)
        return round_figure(wanted), f"a step moves half of the layers by {ratio:.1g} of their weights or more"


def round_figure(value: float) -> str:
    """One significant digit, as people write settings."""
    return f"{float(f'{value:.0e}'):g}"


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.0f}%"
