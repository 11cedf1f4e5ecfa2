"""Several networks averaged into one: the arithmetic, the batch statistics, and the whole job, stopped and resumed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax
from torch import nn

from tally.data.shards import Split
from tally.loader import training_loader
from tally.network import build_network, freeze
from tally.ranks import Ranks, seed_all
from tally.settings import TrainingSettings
from tally.soup import Taste, averaged_weights, settle
from tests.model_code.jobs import Job, configure, make_channels

ALONE = Ranks(0, 1, torch.device("cpu"))


def test_weights_are_averaged_and_counters_are_not() -> None:
    one = {"weight": torch.tensor([1.0, 3.0]), "batches": torch.tensor(7)}
    other = {"weight": torch.tensor([2.0, 5.0]), "batches": torch.tensor(9)}
    found = averaged_weights([one, other])
    assert found["weight"].tolist() == [1.5, 4.0]
    assert found["weight"].dtype == torch.float32
    assert found["batches"] == 7


def test_settling_gives_the_statistics_of_the_photos_and_leaves_what_is_frozen(tmp_path: Path) -> None:
    make_channels(tmp_path)
    train = Split.open(tmp_path / "input" / "data" / "train")
    settings = TrainingSettings(
        image_size=32, batch_size=16, workers=0, crop_scale=1, flip=0, rotation=0, color_jitter=0
    )
    seed_all(0)
    network = build_network("resnet18", 0.0)
    freeze(network, "early", pretrained=True)
    frozen, learning = network.classifier.get_submodule("bn1"), network.classifier.get_submodule("layer2.0.bn1")
    for norm in (frozen, learning):
        assert isinstance(norm, nn.BatchNorm2d)
        norm.running_mean.fill_(3.0)  # type: ignore[union-attr]  # it tracks statistics
    seen = []
    handle = learning.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    loader, batches = training_loader(train, settings, ALONE)
    batches.start(0, 0)
    settle(network, (photos for photos, _ in loader), ALONE, amp=False)
    handle.remove()
    assert len(seen) == 4
    want = torch.stack([values.mean((0, 2, 3)) for values in seen]).mean(0)
    torch.testing.assert_close(learning.running_mean, want)
    assert bool((frozen.running_mean == 3.0).all())  # type: ignore[union-attr]  # it tracks statistics
    assert (learning.momentum, network.training, learning.training) == (0.1, False, False)


def test_a_taste_is_taken_at_the_best_temperature() -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, 5, 200))
    logits = torch.from_numpy(np.eye(5)[labels] + random.normal(size=(200, 5)))
    found, unsure = Taste.of(logits, labels), Taste.of(logits / 3, labels)
    assert found.loss == pytest.approx(unsure.loss, rel=1e-6)
    plain = -log_softmax(logits.numpy(), axis=1)[np.arange(200), labels.numpy()].mean()
    assert found.loss <= plain
    assert found.accuracy == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


def test_members_have_seeds_of_their_own_and_the_first_keeps_the_jobs() -> None:
    settings = TrainingSettings(seed=5, members=3)
    seeds = [settings.member(number).seed for number in range(3)]
    assert seeds[0] == 5
    assert len({*seeds, *(TrainingSettings(seed=6).member(number).seed for number in range(1, 3))}) == 5


def test_a_job_of_two_members_goes_on_after_a_stop_and_leaves_one_model(tmp_path: Path) -> None:
    make_channels(tmp_path)
    start = tmp_path / "start.pth"
    torch.save(build_network("resnet18", 0.0).classifier.state_dict(), start)
    recipe = {"members": 2, "epochs": 3, "ema": 0, "weights": start, "freeze": "none"}
    configure(tmp_path, **recipe)
    with Job([tmp_path]) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    assert "member 1 of 2: seed 0" in outputs[0]
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    tastes = [record["soup"]["soup"], *record["soup"]["members"]]
    best = min(range(3), key=lambda number: tastes[number]["loss"])
    assert record["soup"]["kept"] == ("soup" if best == 0 else f"member {best}")
    assert f"kept the {record['soup']['kept']}" in outputs[0]
    assert '<h2 id="members">Members</h2>' in (tmp_path / "model" / "report" / "training.html").read_text()
    whole = load_file(tmp_path / "model" / "weights.safetensors")

    again = tmp_path / "again"
    make_channels(again)
    configure(again, **recipe)
    shutil.copytree(tmp_path / "checkpoints", again / "checkpoints")
    (again / "checkpoints" / "member-1" / "last.pt").unlink()
    with Job([again]) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    assert outputs[0].count("resumed epoch=3") == 1, "the first member is not trained again"
    resumed = load_file(again / "model" / "weights.safetensors")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-4, atol=1e-5)


def test_random_weights_are_not_averaged(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, members=3, epochs=1, warmup_epochs=0)
    with Job([tmp_path]) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    assert "one network is trained: averages of several need pretrained weights" in outputs[0]
    assert sum(line.startswith("epoch=") for line in outputs[0].splitlines()) == 1
    assert "soup" not in json.loads((tmp_path / "model" / "training.json").read_text())
