"""What the comparison, the control and the learning curve share: photos prepared once, and the trainings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recipes_jobs import Jobs, Splits, Trained, raw_photos
from benchmarks.recipes_progress import Progress
from benchmarks.recipes_settings import (
    PLAIN,
    Hyperparameters,
    PipelineDefaults,
    epochs_of_equal_time,
    epochs_within,
    one_epoch,
    plain,
)
from benchmarks.recipes_views import for_development
from local.errors import LocalError

BASELINE = "baseline"  # the name by which the pipeline calls a champion that serves nobody
CHAMPION = "plain fine-tune of the published projects"
# What is demanded of answers is class-balanced, so the gate weighs counts alike; and as no model here is in service, no
# user can lose a recall: that guard is off, as it is where the pipeline has no champion but the baseline.
GATE: Mapping[str, str | float] = {"GateWeighting": "counts", "MaxRecallDrop": 1.0}
_REPEATS = 3  # trainings of the plain recipe until it has had its time


@dataclass(frozen=True)
class Choices:
    """What a person chose. None: the pipeline's default; `split` is where models are judged, test or validation.

    On validation everything else happens within train, see `recipes_views.for_development`.
    """

    data: Path
    groups: Path | None = None
    listing: Path | None = None
    weights: Path | None = None
    backbone: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    members: int | None = None
    minutes: float | None = None
    seeds: int = 3
    plain_seeds: int | None = None  # None: as many as `seeds`
    split: str = "test"

    @property
    def seeds_of_plain(self) -> int:
        """Trainings of the plain recipe, at most one for each of the default recipe."""
        return self.plain_seeds or self.seeds

    @property
    def parameters(self) -> dict[str, str | int | float]:
        """The pipeline's parameters that they set; the baseline gets a third of the epochs, as in `make run`."""
        third = None if self.epochs is None else math.ceil(self.epochs / 3)
        given = {
            "Backbone": self.backbone,
            "ImageSize": self.image_size,
            "Epochs": self.epochs,
            "Members": self.members,
            "BaselineEpochs": third,
        }
        return {name: value for name, value in given.items() if value is not None}


class Bench:
    """The photos, the recipes and the jobs of one comparison."""

    def __init__(self, choices: Choices, jobs: Jobs, progress: Progress) -> None:
        self.choices, self.jobs, self.progress = choices, jobs, progress
        pretrained = choices.weights is not None
        self.defaults = PipelineDefaults(pretrained=pretrained, parameters={**GATE, **choices.parameters})
        self._pace: float | None = None

    def splits(self) -> Splits:
        """The photos, prepared once, large enough for both recipes; models are judged on their `test`."""
        choices = self.choices
        photos = raw_photos(choices.data, choices.groups, choices.listing)
        side = max(int(self.defaults.recipe(0)["image_size"]), choices.image_size or int(PLAIN["image_size"]))
        splits = self.jobs.preprocess(photos, side, self.progress.job("Preprocess"))
        return splits if choices.split == "test" else for_development(splits, self.jobs.folder)

    def epochs(self, splits: Splits) -> int:
        """Epochs of the default recipe: the pipeline's, or as many as fit into `minutes` at the pace measured here."""
        hyperparameters = self.defaults.recipe(0)
        epochs, minutes = int(hyperparameters["epochs"]), self.choices.minutes
        if minutes is None:
            return epochs
        probe = self.train("pace of the default recipe", one_epoch(hyperparameters), splits, later=0)
        around = probe.job_seconds - probe.seconds  # start, export, report: the same however many epochs
        members = int(hyperparameters["members"])
        fit = epochs_within((60 * minutes - around) / members, probe.epoch_seconds, epochs)
        if not fit:
            least = (around + members * probe.epoch_seconds) / 60
            raise LocalError(
                f"one epoch of {members} network{'s' * (members > 1)} takes about {least:.1f} minutes here, too long "
                f"for --minutes {minutes:g}; give more minutes, fewer --members, fewer photos or a smaller --image-size"
            )
        return fit

    def train(self, what: str, hyperparameters: Hyperparameters, splits: Splits, *, later: int) -> Trained:
        """Train once; `later` trainings of about the same length follow."""
        listen = self.progress.training(what, int(hyperparameters["epochs"]), later)
        started = self.jobs.started
        trained = self.jobs.train(what, hyperparameters, splits, self.choices.weights, listen)
        when = "done" if self.jobs.started > started else "kept from before"
        self.progress.say(f"{what}: {when}, epochs {len(trained.history)}, {trained.seconds:.0f} s, job {trained.key}")
        return trained

    def train_plain(self, seed: int, seconds: float, splits: Splits, *, later: int) -> Trained:
        """Train the plain recipe for at least `seconds`, as long as the default recipe was trained on this machine.

        Its epochs follow from the pace of its last training, at first from that of a single epoch. Where it was
        quicker than that and got less, it is trained again for longer; `recipes_compare` reports it if even that fails.
        """
        choices, like = self.choices, self.defaults.recipe(seed)

        def wanted(epochs: int) -> Hyperparameters:
            pretrained = choices.weights is not None
            return plain(like, epochs, pretrained=pretrained, image_size=choices.image_size)

        if self._pace is None:
            probe = self.train("pace of the plain recipe", one_epoch(wanted(1)), splits, later=0)
            self._pace = probe.epoch_seconds
        for _ in range(_REPEATS):
            epochs = epochs_of_equal_time(seconds, self._pace)
            trained = self.train(f"seed {seed}, plain recipe", wanted(epochs), splits, later=later)
            self._pace = trained.epoch_seconds
            if trained.seconds >= seconds:
                break
        return trained

    def baseline(self, splits: Splits) -> Trained:
        """The pipeline's baseline: a linear head on the frozen backbone."""
        return self.train("baseline", self.defaults.baseline(0), splits, later=0)

    def evaluate(
        self, what: str, splits: Splits, models: Mapping[str, Trained], champion_name: str, seed: int
    ) -> dict[str, Any]:
        """Run the Evaluate job with the pipeline's own arguments."""
        arguments = self.defaults.evaluate(champion_name, seed)
        found = self.jobs.evaluate(arguments, splits, models, self.progress.job(what))
        self.progress.say(f"{what}: {found['gate']['verdict']}: {found['gate']['reason']}")
        return found
