"""What is compared with what, for how long, and what is demanded: everything of `make compare-recipes` but the jobs."""

import dataclasses
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks import recipes
from benchmarks.recipes_bench import Bench, Choices
from benchmarks.recipes_figures import TARGETS, Spread, claims
from benchmarks.recipes_jobs import Splits, Trained
from benchmarks.recipes_progress import Progress
from benchmarks.recipes_report import table
from benchmarks.recipes_settings import (
    PLAIN,
    PipelineDefaults,
    epochs_of_equal_time,
    epochs_within,
    one_epoch,
    plain,
)
from tally.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[2]
PRETRAINED = PipelineDefaults(pretrained=True, parameters={"Backbone": "mobilenet_v2", "Epochs": 7})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "0"], "--epochs is 0; it must be a number above 0"),
        (["--minutes", "-1"], "--minutes is -1.0; it must be a number above 0"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--plain-seeds", "0"], "--plain-seeds is 0"),
        (["--plain-seeds", "4"], "--plain-seeds is 4; it must be at most --seeds, which is 3"),
        (["--minutes", "inf"], "--minutes is inf"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--share", "nan", "1"], "--share is"),
        (["--image-size", "0"], "--image-size is 0"),
        (["--share", "0.5"], "at least two shares"),
        (["--share", "0.5", "1.5"], "at least two shares"),
        (["--share", "0.5", "0.5"], "at least two shares"),
        (["--share", "0.5", "1", "--shuffle-labels"], "give one of them"),
        (["--weights", "nowhere.pth"], "nowhere.pth is not a file"),
        (["--split", "train"], "invalid choice: 'train'"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        recipes.parse(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_without_options_three_seeds_are_judged_on_test() -> None:
    options = recipes.parse([])
    assert (options.seeds, options.split, options.share, options.shuffle_labels) == (3, "test", None, False)


def test_make_passes_every_option() -> None:
    variables = re.findall(r"[A-Z_]+", (ROOT / "Makefile").read_text().split("RECIPE_VARIABLES :=")[1].split("\n#")[0])
    options = {f"--{name.lower().replace('_', '-')}" for name in variables} | {"--shuffle-labels", "--share"}
    help_command = [sys.executable, "-m", "benchmarks.recipes", "--help"]
    path = {**os.environ, "PYTHONPATH": "model_code"}
    done = subprocess.run(help_command, cwd=ROOT, env=path, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.M)) == options

    words = ["DATA=it's", "SEEDS=2", "SHARE=0.5 1", "SHUFFLE_LABELS=0"]
    environment = {**os.environ, "EPOCHS": "9", "SHUFFLE_LABELS": "1"}

    def passed(*words: str) -> list[str]:
        make = ["make", "--no-print-directory", "-n", "compare-recipes", *words]
        done = subprocess.run(make, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        before, _, options = done.stdout.replace("\\\n", " ").partition("benchmarks.recipes")
        assert "PYTHONPATH=model_code" in before  # the photos' views divide as the platform does
        return shlex.split(options)

    assert passed(*words) == ["--data", "it's", "--seeds", "2", "--share", "0.5", "1"]
    assert passed("SHUFFLE_LABELS=1") == ["--shuffle-labels"]
    assert passed() == []


def test_a_folder_without_photos_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert recipes.main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 1
    assert signal.getsignal(signal.SIGINT) is before, "Ctrl-C works again for whoever called"
    assert "none does not exist" in capsys.readouterr().err


# The recipes


def test_the_default_recipe_is_what_the_pipeline_sends() -> None:
    sent = PRETRAINED.recipe(seed=3)
    assert {"backbone": "mobilenet_v2", "epochs": "7", "seed": "3", "weights": "pretrained"}.items() <= sent.items()
    assert PRETRAINED.recipe(seed=3, epochs=2)["epochs"] == "2"
    assert "lr" in PRETRAINED.tuned
    assert not set(PRETRAINED.tuned) & set(sent)
    TrainingSettings.from_hyperparameters(sent)


def test_the_baseline_is_the_pipelines() -> None:
    assert PRETRAINED.baseline(0)["freeze"] == "backbone"
    assert PipelineDefaults(pretrained=False, parameters={}).baseline(0)["freeze"] == "none"


def test_evaluate_gets_the_pipelines_arguments_and_this_champion() -> None:
    arguments = PRETRAINED.evaluate("plain", seed=5)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options["--champion-name"] == "plain"
    assert options["--seed"] == "5"
    assert float(options["--alpha"]) == 0.05
    assert options["--weighting"] == "photos"


def test_the_gate_of_a_comparison_weighs_counts_alike_and_guards_no_recall() -> None:
    bench = Bench(Choices(Path(), backbone="resnet18"), Paces(), Progress(io.StringIO()))  # type: ignore[arg-type]
    arguments = bench.defaults.evaluate("plain", seed=5)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options["--weighting"] == "counts"
    assert float(options["--max-recall-drop"]) == 1
    assert options["--alpha"] == "0.05"


def test_a_parameter_that_the_pipeline_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="Epoch'"):
        PipelineDefaults(pretrained=True, parameters={"Epoch": 3})


def test_the_plain_recipe_is_the_published_one() -> None:
    settings = TrainingSettings.from_hyperparameters(plain(PRETRAINED.recipe(4), 9, pretrained=True))
    assert (settings.backbone, settings.weights, settings.seed, settings.epochs) == ("mobilenet_v2", "pretrained", 4, 9)
    assert (settings.image_size, settings.optimizer, settings.lr, settings.weight_decay) == (224, "adamw", 1e-3, 0)
    assert settings.stretch >= 10  # whatever the photo, it is squashed
    assert (settings.freeze, settings.softening, settings.sampling, settings.members) == ("backbone", 0, "natural", 1)
    assert plain(PRETRAINED.recipe(4), 9, pretrained=False)["freeze"] == "none"


def test_nothing_of_the_plain_recipe_is_left_to_defaults() -> None:
    """A new setting of the trainer must be decided for it too, or the default recipe would leak into it."""
    names = {field.name for field in dataclasses.fields(TrainingSettings)}
    shared = {"backbone", "weights", "seed", "epochs", "trial"}
    machine = {"workers", "processes", "amp", "sync_batchnorm", "profile_steps"}
    served = {"low_precision", "accuracy_margin"}  # of the model when it has learnt; off unless asked for
    unused = {"momentum", "step_epochs", "step_factor"}  # of sgd, and of the schedule step
    assert names - shared - machine - served - unused == set(PLAIN)


def test_how_a_machine_is_used_is_the_same_for_both() -> None:
    recipe = {**PRETRAINED.recipe(0), "workers": "0", "processes": "2", "lr": "0.5"}
    ours = plain(recipe, 1, pretrained=True, image_size=64)
    assert (ours["workers"], ours["processes"], ours["lr"], ours["image_size"]) == ("0", "2", "0.001", "64")


def test_one_epoch_has_no_warm_up_that_is_longer() -> None:
    TrainingSettings.from_hyperparameters(one_epoch({"epochs": "20", "warmup_epochs": "3"}))


# Equal time


@pytest.mark.parametrize(
    ("seconds", "epoch", "epochs"), [(100, 10, 11), (100, 9.9, 12), (1, 10, 1), (1e-6, 10, 1), (3600, 7.5, 528)]
)
def test_epochs_of_equal_time_last_as_long(seconds: float, epoch: float, epochs: int) -> None:
    assert epochs_of_equal_time(seconds, epoch) == epochs
    assert epochs * epoch >= seconds


@pytest.mark.parametrize(("seconds", "epochs"), [(0, 0), (10, 0), (11, 1), (1000, 12), (-5, 0)])
def test_epochs_within_a_time_end_before_it(seconds: float, epochs: int) -> None:
    assert epochs_within(seconds, 10, most=12) == epochs


def trained(epochs: int, epoch_seconds: float) -> Trained:
    history = [{"seconds": epoch_seconds}] * epochs
    return Trained("key", Path("model.tar.gz"), {}, {}, 0, history, epochs * epoch_seconds, epochs * epoch_seconds)


class Paces:
    """Stands in for jobs: each training has the next pace, seconds an epoch."""

    def __init__(self, *paces: float) -> None:
        self._paces, self.epochs, self.started = list(paces), list[int](), 0

    def train(self, _what: str, hyperparameters: Mapping[str, str], *_: Any) -> Trained:
        self.epochs.append(int(hyperparameters["epochs"]))
        return trained(self.epochs[-1], self._paces.pop(0))


@pytest.mark.parametrize(
    ("paces", "epochs", "enough"),
    [
        ((10, 10), [1, 11], True),  # the pace of one epoch was right
        ((10, 5, 5), [1, 11, 22], True),  # the machine was busy during the first epoch
        ((10, 9.5), [1, 11], True),  # a little quicker: the margin covers it
        ((8, 4, 2, 1), [1, 14, 28, 55], False),  # quicker every time: given up, and reported
    ],
)
def test_the_plain_recipe_gets_at_least_the_same_time(paces: list[float], epochs: list[int], enough: bool) -> None:
    jobs = Paces(*paces)
    bench = Bench(Choices(Path()), jobs, Progress(io.StringIO()))  # type: ignore[arg-type]
    found = bench.train_plain(0, 100, Splits(Path(), "key"), later=0)
    assert jobs.epochs == epochs
    assert (found.seconds >= 100) is enough


def test_later_seeds_go_by_the_pace_of_whole_trainings() -> None:
    jobs = Paces(10, 10, 10)
    bench = Bench(Choices(Path()), jobs, Progress(io.StringIO()))  # type: ignore[arg-type]
    for seed in (0, 1):
        bench.train_plain(seed, 100, Splits(Path(), "key"), later=0)
    assert jobs.epochs == [1, 11, 11]


# What must hold

GOOD = {
    **{"balanced_accuracy": 0.47, "macro_f1": 0.45, "rmse_mean": 1.02, "within_1_median": 0.82, "least_recall": 0.3},
    **{"validation_ece": 0.03, "accuracy": 0.5, "seconds": 100.0},
}
PLAIN_FIGURES = {**GOOD, "accuracy": 0.42, "balanced_accuracy": 0.36, "seconds": 105.0}
PROMOTED = {"p_value": 0.001, "alpha": 0.05, "gain": 0.08, "verdict": "promote"}


def test_everything_holds() -> None:
    found = claims([GOOD, GOOD], [PLAIN_FIGURES] * 2, [PROMOTED] * 2)
    assert len(found) == len(TARGETS) + 4
    assert all(claim.holds for claim in found)


@pytest.mark.parametrize(
    ("ours", "theirs", "gate", "name"),
    [
        ({"balanced_accuracy": 0.449}, {"balanced_accuracy": 0.3}, {}, "class-balanced accuracy"),
        ({"rmse_mean": 1.07}, {}, {}, "class-balanced RMSE, by the mean"),
        ({"within_1_median": 0.79}, {}, {}, "class-balanced within 1, by the median"),
        ({"macro_f1": 0.42}, {}, {}, "class-balanced macro-F1"),
        ({"least_recall": 0.24}, {}, {}, "least recall of a count, every seed"),
        ({"validation_ece": 0.051}, {}, {}, "ECE on validation"),
        ({}, {"balanced_accuracy": 0.42}, {}, "gain over the plain recipe, class-balanced accuracy"),
        ({}, {}, {"p_value": 0.06}, "the gate's test: better, p below alpha"),
        ({}, {}, {"verdict": "reject"}, "the gate's verdict: promote"),
        ({}, {"seconds": 99.0}, {}, "the plain recipe was trained at least as long"),
    ],
)
def test_what_does_not_hold_is_named(
    ours: dict[str, float], theirs: dict[str, float], gate: dict[str, Any], name: str
) -> None:
    found = claims([GOOD | ours], [PLAIN_FIGURES | theirs], [PROMOTED | gate])
    assert [claim.name for claim in found if not claim.holds] == [name]


def test_the_mean_over_seeds_decides_but_for_the_recalls_and_the_spread_is_told() -> None:
    low = {**GOOD, "macro_f1": 0.35, "least_recall": 0.2}
    high = {**GOOD, "macro_f1": 0.55, "least_recall": 0.4}
    by_name = {claim.name: claim for claim in claims([low, high], [PLAIN_FIGURES] * 2, [PROMOTED] * 2)}
    mean, every = by_name["class-balanced macro-F1"], by_name["least recall of a count, every seed"]
    assert mean.holds
    assert mean.found == "0.450 ± 0.141 (0.350 to 0.550)"
    assert not every.holds
    assert every.found == "0.300 ± 0.141 (0.200 to 0.400)"
    assert Spread.of([2.0]) == Spread(2.0, 0.0, 2.0, 2.0)


def test_a_table_is_markdown_that_reads_well() -> None:
    assert table(("what", "found"), [("a", "1"), ("longer", "12.5")]) == (
        "| what   | found |\n| ------ | ----: |\n| a      |     1 |\n| longer |  12.5 |"
    )


def test_the_end_is_projected_from_the_pace_so_far() -> None:
    said = io.StringIO()
    hear = Progress(said).training("seed 0, default recipe", epochs=3, later=1)
    hear("epoch=0 validation_accuracy=0.4125 photos_per_second=81.3 seconds=0.5")
    hear("progress epoch=1 step=3/9")  # not within the same minute
    hear("other lines")
    hear("member 2 of 2: seed 7")
    hear("epoch=0 validation_accuracy=0.5 photos_per_second=80 seconds=0.5")
    line, other = said.getvalue().splitlines()
    assert "seed 0, default recipe: epoch 1 of 3, validation accuracy 0.412, 81 photos/s; ends about " in line
    assert "all trainings about" in line
    assert "seed 0, default recipe: member 2 of 2, epoch 1 of 3, " in other
