"""What is observed of a run: every second has a phase, nothing changes a loss, and a resumed run tells of all parts."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tally.diagnosis import diagnose
from tally.training_report import write_training_report
from tally.watch.clock import Clock
from tally.watch.health import HealthProbe, idle_units
from tally.watch.observer import Watch, summary_of_norms
from tally.watch.utilisation import Utilisation, memory_limit
from tests.model_code.jobs import Job, configure, make_channels
from tests.model_code.watched import network, splits, trained


class Device:
    """A timeline whose moments come only when somebody waits for them, as on a GPU."""

    def __init__(self) -> None:
        self.time, self.reached = 0.0, -1.0

    def now(self) -> float:
        return self.time

    def passed(self, start: float, end: float) -> float:
        assert end <= self.reached, "an event was read before the device came to it"
        return end - start

    def has_come(self, moment: float) -> bool:
        return moment <= self.reached

    def wait_for(self, moment: float) -> None:
        self.reached = moment


def test_every_moment_belongs_to_one_phase_also_on_a_device_that_lags() -> None:
    device = Device()
    clock = Clock(device)
    for _ in range(500):  # more segments than the clock keeps
        device.time += 1
        with clock.phase("backward"):
            device.time += 10
            with clock.phase("watching"):
                device.time += 100
            clock.turn_into("all_reduce")
            device.time += 1000
        if device.time > 300_000:
            device.reached = device.time / 2
    assert clock.take() == {"backward": 5_000, "all_reduce": 500_000, "watching": 50_000, "other": 500}
    assert clock.take() == {"other": 0.0}


def test_a_phase_that_raises_ends() -> None:
    clock = Clock(device := Device())
    with pytest.raises(KeyError), clock.phase("forward"):
        raise KeyError
    device.time = 7
    assert clock.take() == {"forward": 0, "other": 7}


def test_idle_units_are_counted_by_hand() -> None:
    # two photos of 2x2 places; units: one alive, one dead, one at the limit everywhere
    output = torch.tensor([1.0, 0.0, 6.0]).view(1, 3, 1, 1).expand(2, 3, 2, 2).clone()
    output[0, 0, 0, 0] = 0.0
    third = pytest.approx(1 / 3)
    assert idle_units(nn.ReLU6(), output).tolist() == [third, third]
    assert idle_units(nn.ReLU(), output).tolist() == [third, 0]
    assert idle_units(nn.Sigmoid(), torch.tensor([[0.5, 0.999, 0.001], [0.5, 0.001, 0.001]])).tolist() == [
        0,
        pytest.approx(2 / 3),
    ]
    assert idle_units(nn.Tanh(), torch.tensor([[0.0, -0.999], [0.9, 1.0]])).tolist() == [0, 0.5]


def test_a_probe_measures_a_step_and_leaves_no_hook() -> None:
    tiny = network(normalised=False)
    probe = HealthProbe(tiny)
    photos = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    tiny(photos).square().sum().backward()
    probe.see_gradients()
    gradient = tiny.classifier.fc.weight.grad.clone()
    before = tiny.classifier.fc.weight.detach().clone()
    torch.optim.SGD(tiny.parameters(), lr=0.5).step()
    seen = probe.finish()
    assert seen["layers"] == ["features.0", "features.3", "fc"]
    assert seen["activations"] == ["features.2", "features.5"]
    assert seen["gradients"][-1] == pytest.approx(gradient.norm().item())
    assert seen["means"][-1] == pytest.approx(gradient.abs().mean().item())
    assert seen["updates"][-1] == pytest.approx((0.5 * gradient).norm().item() / before.norm().item(), rel=1e-5)
    assert not any(module._forward_hooks for module in tiny.modules())


def test_norms_of_an_epoch_in_short() -> None:
    assert summary_of_norms([1.0, 3.0, 2.0, float("inf"), float("nan")], limit=1.5) == {
        "median": 2.0,
        "largest": 3.0,
        "clipped": pytest.approx(2 / 3),
        "not_finite": 2,
        "steps": 5,
    }
    assert summary_of_norms([float("nan")], limit=1.0)["median"] is None


def test_samples_of_the_machine_stay_few_and_go_on_after_a_resumption(tmp_path: Path) -> None:
    first = Utilisation(every=0.001, kept=8)
    with first:
        while first.state()["every"] < 0.004:  # halved twice: sixteen samples were taken and more
            sum(range(10_000))
    state = first.state()
    assert len(state["samples"]) < 8
    seconds, cpus, memory, busy, used = state["samples"][-1]
    assert seconds > 0
    assert cpus >= 0
    assert 0.01 < memory < state["memory"]
    assert (busy, used) == (None, None) or torch.cuda.is_available()
    second = Utilisation(every=0.001, kept=8)
    second.go_on_from(state)
    with second:
        while len(second.state()["samples"]) == len(state["samples"]):
            sum(range(10_000))
    assert second.state()["samples"][-1][0] > seconds
    (tmp_path / "memory.max").write_text("max\n")
    machine = memory_limit(tmp_path)
    (tmp_path / "memory.max").write_text("123456789\n")
    assert memory_limit(tmp_path) == 123456789 < machine


def test_a_run_that_is_over_at_once_has_a_sample_all_the_same() -> None:
    with (quick := Utilisation(every=60)):
        pass
    ((_, _, memory, _, _),) = quick.state()["samples"]
    assert memory > 0.01


def losses(record: dict[str, Any]) -> list[tuple[float, float]]:
    return [(row["train_loss"], row["validation_loss"]) for row in record["history"]]


def test_a_run_that_is_watched_gives_the_losses_of_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = splits(tmp_path / "data", train=60)
    watched = trained(tmp_path / "watched", data=data, epochs=2, dropout=0.5, profile_steps=2)
    assert watched["watch"]["operators"]["steps"] == 2
    assert watched["watch"]["epochs"][1]["health"]["gradients"]

    @contextmanager
    def nothing(*_: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(Watch, "step", nothing)
    monkeypatch.setattr(Watch, "outputs", lambda *_: None)
    monkeypatch.setattr(Watch, "__enter__", lambda self: self)
    plain = trained(tmp_path / "plain", data=data, epochs=2, dropout=0.5, profile_steps=0)
    assert (plain["watch"]["operators"], plain["watch"]["first_step"]) == (None, None)
    assert losses(plain) == losses(watched)


def test_phases_fill_the_run_and_operators_are_those_of_the_network(tmp_path: Path) -> None:
    record = trained(tmp_path, epochs=2, profile_steps=4)
    for epoch, row in zip(record["watch"]["epochs"], record["history"], strict=True):
        assert epoch["steps"] == 10
        assert epoch["waiting"] == [pytest.approx(epoch["seconds"]["data"], rel=1e-4)]
        in_epoch = sum(value for name, value in epoch["seconds"].items() if name not in ("validation", "checkpoint"))
        assert in_epoch == pytest.approx(row["seconds"], rel=0.2), "the two clocks of an epoch disagree"
    operators = record["watch"]["operators"]
    assert operators["epoch"] == 1
    assert len(operators["operators"]) == 10
    assert operators["operators"][0]["cpu"] >= operators["operators"][1]["cpu"] > 0
    assert any("convolution" in row["name"] for row in operators["operators"])
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_resumed_run_tells_of_all_its_parts(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=100)
    whole = trained(tmp_path / "whole", data=data, epochs=3)
    votes = iter([False] * 6 + [True])
    broken = trained(tmp_path / "broken", data=data, epochs=3, stop=lambda: next(votes))
    assert [epoch["steps"] for epoch in broken["watch"]["epochs"]] == [5, 3], "one vote a step but the last"
    resumed = trained(tmp_path / "broken", data=data, epochs=3)
    assert losses(resumed) == losses(whole)
    watch = resumed["watch"]
    assert watch["parts"] == 2
    assert [epoch["steps"] for epoch in watch["epochs"]] == [5, 5, 5]
    assert [epoch["gradients"] for epoch in watch["epochs"]] == [e["gradients"] for e in whole["watch"]["epochs"]]
    assert watch["first_step"] == whole["watch"]["first_step"]
    assert watch["epochs"][1]["seconds"]["data"] > broken["watch"]["epochs"][1]["seconds"]["data"]


def test_a_part_that_was_not_watched_is_said_to_be_missing(tmp_path: Path) -> None:
    data = splits(tmp_path / "data", train=60)
    votes = iter([False] * 3 + [True])
    trained(tmp_path, data=data, epochs=3, stop=lambda: next(votes))
    file = tmp_path / "checkpoints" / "last.pt"
    state = torch.load(file, weights_only=True)
    del state["watch"]  # as versions before this one wrote them
    torch.save(state, file)
    record = trained(tmp_path, data=data, epochs=3)
    assert [(epoch["epoch"], epoch["steps"]) for epoch in record["watch"]["epochs"]] == [(1, 1), (2, 3)]
    assert ("poor initialisation", "the first step was not watched") in diagnose(record).unable
    write_training_report(tmp_path / "page.html", record)
    assert "Clocks and layers of epochs 0 are missing" in (tmp_path / "page.html").read_text()


@pytest.mark.e2e
def test_two_ranks_tell_how_long_each_waited_and_what_the_exchange_cost(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, processes=2, epochs=1, _tuning_objective_metric="best_validation_accuracy")
    with Job([tmp_path], {"TRAINING_JOB_NAME": "two"}) as job:
        codes, outputs = job.finish(240)
    assert codes == [0], outputs
    assert re.search(r"^diagnosis: .*17 rules looked", outputs[0], re.M), "a trial tells its log, too"
    state = torch.load(tmp_path / "checkpoints" / "two" / "last.pt", weights_only=True)["watch"]
    (epoch,) = state["epochs"]
    assert len(epoch["waiting"]) == 2
    assert min(epoch["waiting"]) > 0
    assert epoch["seconds"]["all_reduce"] > 0
    assert epoch["gradients"]["steps"] == epoch["steps"] == 4
