"""Rules on records: what no short run can show, the borders of thresholds, and what is said when evidence lacks."""

import copy
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.metrics import METRICS
from tally.diagnosis import RULES, Finding, diagnose
from tally.settings import TrainingSettings

Change = Callable[[dict[str, Any]], None]


def healthy(epochs: int = 12, **settings: Any) -> dict[str, Any]:
    """The record of a run of two ranks that has nothing wrong."""
    chosen = {"epochs": epochs, "workers": 2, "batch_size": 64, "sampling": "natural", **settings}
    layers = {"gradients": [0.5, 0.4], "means": [1e-3, 1e-3], "weights": [10.0, 5.0], "updates": [1e-3, 2e-3]}
    health = layers | {"dead": [0.05, 0.0], "saturated": [0.0, 0.01]}
    times = {"data": 2.0, "copy": 0.1, "forward": 30.0, "backward": 60.0, "all_reduce": 5.0, "optimiser": 3.0}
    return {
        "best_epoch": epochs - 1,
        "finished": True,
        "stopped_early": False,
        "ranks": 2,
        "settings": TrainingSettings(**chosen).as_dict(),
        "splits": {
            name: {"photos": 500, "counts": {str(n): 100 for n in range(1, 6)}} for name in ("train", "validation")
        },
        "history": [
            {
                "epoch": epoch,
                "train_loss": 1.6 - 0.05 * epoch,
                "train_accuracy": 0.25 + 0.02 * epoch,
                "validation_loss": 1.55 - 0.03 * epoch,
                "validation_accuracy": 0.28 + 0.015 * epoch,
                "lr": 1e-3,
                "seconds": 100.0,
            }
            for epoch in range(epochs)
        ],
        "watch": {
            "device": "cpu",
            "gpu_memory_peak": None,
            "threads": 2,
            "parts": 1,
            "workers": 2,
            "batch_norms": 20,
            "layers": ["conv1", "fc"],
            "activations": ["relu", "layer1.relu"],
            "first_step": health | {"objective": 1.65, "cross_entropy": 1.65, "lr": 2e-5, "updates": [2e-5, 4e-5]},
            "epochs": [
                {
                    "epoch": epoch,
                    "steps": 40,
                    "seconds": times | {"validation": 5.0, "checkpoint": 1.0},
                    "waiting": [2.0, 2.5],
                    "gradients": {"median": 2.0, "largest": 9.0, "clipped": 0.9, "not_finite": 0, "steps": 40},
                    "health": health,
                    "validation_confusion": [[60 if i == j else 10 for j in range(5)] for i in range(5)],
                }
                for epoch in range(epochs)
            ],
            "operators": None,
            "utilisation": {
                "columns": ["seconds", "cpus", "memory", "gpu", "gpu_memory"],
                "samples": [[2.0 * n, 3.0, 4.0, None, None] for n in range(50)],
                "every": 2.0,
                "cpus": 8,
                "memory": 16.0,
                "gpus": 0,
                "gpu_busy_known": False,
            },
        },
    }


def found(record: dict[str, Any]) -> dict[str, Finding]:
    return {finding.rule: finding for finding in diagnose(record).findings}


def test_nothing_is_found_in_a_healthy_record_and_every_rule_could_tell() -> None:
    diagnosis = diagnose(healthy())
    assert (diagnosis.findings, diagnosis.unable) == ((), ())
    assert diagnosis.quiet == tuple(RULES)


def seconds(**phases: float) -> Change:
    return lambda record: [epoch["seconds"].update(phases) for epoch in record["watch"]["epochs"]] and None


def every_epoch(key: str, **values: Any) -> Change:
    return lambda record: [epoch[key].update(values) for epoch in record["watch"]["epochs"]] and None


def last_epoch(key: str, **values: Any) -> Change:
    return lambda record: record["watch"]["epochs"][-1][key].update(values)


def curve(name: str, values: Callable[[int], float]) -> Change:
    return lambda record: [row.update({name: values(row["epoch"])}) for row in record["history"]] and None


def gpu(busy: float, memory: float, cpus: float = 1.0) -> Change:
    def change(record: dict[str, Any]) -> None:
        record["watch"]["device"] = "NVIDIA H100"
        usage = record["watch"]["utilisation"]
        usage.update(gpus=1, gpu_busy_known=True, samples=[[2.0 * n, cpus, 4.0, busy, memory] for n in range(50)])

    return change


def waiting(*by_rank: float) -> Change:
    return lambda record: [epoch.update(waiting=list(by_rank)) for epoch in record["watch"]["epochs"]] and None


def memory(used: float) -> Change:
    return lambda record: record["watch"]["utilisation"]["samples"].append([102.0, 3.0, used, None, None])


def flat(record: dict[str, Any]) -> None:
    for row in record["history"]:
        row.update(train_loss=1.6, train_accuracy=0.21)
    record["watch"]["first_step"]["objective"] = 1.61


CASES: dict[str, tuple[Change, str, str, str, str]] = {
    "half the time waiting": (seconds(data=150.0), "starved by input", "problem", "workers", "6"),
    "a fifth of the time waiting": (seconds(data=30.0), "starved by input", "hint", "workers", "3"),
    "ranks far apart": (waiting(2.0, 60.0), "ranks wait unevenly", "hint", "workers", "3"),
    "exchange": (seconds(all_reduce=80.0), "slow exchange", "hint", "batch_size", "128"),
    "a GPU with room": (gpu(busy=0.3, memory=0.2), "batch too small", "hint", "batch_size", "128"),
    "memory": (memory(15.0), "memory nearly full", "hint", "batch_size", "32"),
    "gradients that grew": (
        last_epoch("gradients", median=5000.0),
        "exploding gradients",
        "problem",
        "lr",
        "0.0001",
    ),
    "a float32 step that was not finite": (
        last_epoch("gradients", not_finite=1),
        "exploding gradients",
        "problem",
        "lr",
        "0.0001",
    ),
    "a layer without gradient": (
        last_epoch("health", means=[1e-9, 1e-3]),
        "vanishing gradients",
        "problem",
        "backbone",
        "mobilenet_v2",
    ),
    "dead units": (last_epoch("health", dead=[0.6, 0.0]), "dead units", "problem", "lr", "0.0001"),
    "saturated units": (
        last_epoch("health", saturated=[0.0, 0.7]),
        "saturated units",
        "problem",
        "weight_decay",
        "0.1",
    ),
    "an initial loss that is not finite": (
        lambda record: record["watch"]["first_step"].update(cross_entropy=None),
        "poor initialisation",
        "problem",
        "weights",
        "pretrained",
    ),
    "labels that mean nothing": (flat, "loss not decreasing", "problem", "weights", "pretrained"),
    "validation turns": (
        lambda record: (
            curve("validation_loss", lambda epoch: 1.3 + 0.05 * epoch)(record),
            curve("train_accuracy", lambda epoch: 0.3 + 0.05 * epoch)(record),
        )[0],
        "overfitting",
        "problem",
        "crop_scale",
        "0.5",
    ),
    "half the epochs in vain": (
        lambda record: (
            curve("validation_loss", lambda epoch: 1.3 if epoch == 2 else 1.32)(record),
            curve("validation_accuracy", lambda epoch: 0.5 if epoch == 3 else 0.48)(record),
        )[0],
        "overtraining",
        "hint",
        "epochs",
        "6",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_finds_its_mistake_and_only_that(case: str) -> None:
    change, rule, severity, setting, value = CASES[case]
    record = healthy()
    change(record)
    before = copy.deepcopy(record)
    (finding,) = diagnose(record).findings
    assert (finding.rule, finding.severity, finding.setting, finding.value) == (rule, severity, setting, value)
    assert re.search(r"\d", finding.evidence) or "not finite" in finding.evidence, "evidence has numbers"
    assert record == before, "a rule changed the record"


def test_every_rule_has_a_case_here_or_among_the_runs() -> None:
    in_runs = {"steps too small", "steps too large", "class imbalance", "one answer for all"}
    assert {rule for _, rule, *_ in CASES.values()} | in_runs == set(RULES)


@pytest.mark.parametrize(
    "change",
    [
        seconds(data=20.0),
        waiting(2.0, 20.0),
        gpu(busy=0.9, memory=0.2),
        gpu(busy=0.3, memory=0.9),
        last_epoch("health", dead=[0.45, 0.0]),
        last_epoch("health", means=[1e-8, 1e-6]),  # all layers are small: no layer is left behind
        last_epoch("gradients", median=90.0),
    ],
    ids=["some waiting", "ranks near", "busy GPU", "full GPU", "some dead", "all small", "some growth"],
)
def test_below_its_threshold_a_rule_is_silent(change: Change) -> None:
    record = healthy()
    change(record)
    assert not found(record)


def test_float16_may_skip_a_step_where_float32_may_not() -> None:
    record = healthy()
    gpu(busy=0.9, memory=0.9)(record)
    last_epoch("gradients", not_finite=1)(record)
    assert not found(record)


def test_settings_say_what_is_possible() -> None:
    starved = healthy(workers=8, image_size=224)
    starved["watch"]["workers"] = 8
    seconds(data=150.0)(starved)
    assert (found(starved)["starved by input"].setting, found(starved)["starved by input"].value) == (
        "image_size",
        "160",
    )
    clipped = healthy(clip_norm=0.0)
    last_epoch("gradients", not_finite=1)(clipped)
    assert found(clipped)["exploding gradients"].setting == "clip_norm"
    apart = healthy(sync_batchnorm=False, batch_size=8)
    assert found(apart)["batch too small"].evidence.startswith("batch normalisation has statistics of 4 photos")


def test_what_a_rule_lacks_is_said() -> None:
    record = healthy(epochs=1)
    record |= {"ranks": 1, "watch": None}
    unable = dict(diagnose(record).unable)
    assert unable["starved by input"] == "the run was not watched"
    assert unable["ranks wait unevenly"] == "one rank"
    assert unable["overfitting"] == "3 finished epochs are needed, there are 1"
    broken = healthy()
    broken["history"][-1]["validation_loss"] = None
    assert dict(diagnose(broken).unable)["overfitting"] == "a loss was not finite"
    assert "17 rules looked; 0 found something; 0 found nothing" not in diagnose(record).summary()


def test_no_line_of_the_log_can_be_taken_for_a_metric() -> None:
    for change, *_ in CASES.values():
        record = healthy()
        change(record)
        for line in diagnose(record).lines():
            assert line.startswith("diagnosis: ")
            assert "\n" not in line
            assert not any(re.search(rf"\b{name}=", line) for name in METRICS)


def test_guessing_is_judged_by_how_photos_are_drawn() -> None:
    record = healthy()
    flat(record)
    record["splits"]["train"]["counts"] = {"1": 400, "2": 25, "3": 25, "4": 25, "5": 25}
    for row in record["history"]:
        row["train_accuracy"] = 0.3
    assert "loss not decreasing" in found(record)
    share, photos = 0.8, 500
    bound = share + 3 * math.sqrt(share * (1 - share) / photos)
    assert f"gets up to {100 * bound:.0f}%" in found(record)["loss not decreasing"].evidence
    record["settings"]["sampling"] = "balanced"
    record["history"][-1]["train_accuracy"] = 0.4
    assert "loss not decreasing" not in found(record)


def test_steps_that_were_skipped_are_no_evidence() -> None:
    record = healthy()
    last_epoch("gradients", median=None)(record)
    record["watch"]["epochs"][0]["gradients"]["median"] = None
    assert diagnose(record).findings == ()
    last_epoch("health", means=[None, 1e-3])(record)
    assert dict(diagnose(record).unable)["vanishing gradients"] == "a gradient of the last step was not finite"


def test_overfitting_compares_training_with_what_it_is_measured_on() -> None:
    record = healthy()
    curve("validation_loss", lambda epoch: 1.2 + 0.03 * epoch)(record)
    curve("train_accuracy", lambda epoch: 0.78 + 0.001 * epoch)(record)
    # Photos as they come: 400 of count 1, all right, and 25 of every other count, none right.
    rows = [[400, 0, 0, 0, 0], *([25, 0, 0, 0, 0] for _ in range(4))]
    last = record["watch"]["epochs"][-1]
    last["validation_confusion"] = rows
    assert "overfitting" not in found(record), "80% of the photos against 79%"
    record["settings"]["sampling"] = "balanced"
    assert "79% on training photos, 20% on validation" in found(record)["overfitting"].evidence


def test_a_count_without_photos_is_found_before_the_first_epoch_ends() -> None:
    record = healthy() | {"history": [], "best_epoch": -1, "finished": False}
    record["splits"]["train"]["counts"]["3"] = 0
    assert found(record)["class imbalance"].evidence == "no training photo shows 3 objects"


def test_ranks_of_a_host_share_its_cpus() -> None:
    record = healthy()
    record["watch"] |= {"workers": 1, "ranks_here": 4}
    seconds(data=150.0)(record)
    assert found(record)["starved by input"].value == "2", "of 8 CPUs"
