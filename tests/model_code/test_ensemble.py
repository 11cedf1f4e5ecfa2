"""Several networks that answer together: the arithmetic, what they share, and the whole job, stopped and resumed."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax

from tally.ensemble import Ensemble, Judged
from tally.network import PhotoNetwork, build_network, freeze
from tally.ranks import seed_all
from tally.settings import TrainingSettings
from tests.model_code.jobs import Job, configure, make_channels


def members(what: str) -> list[PhotoNetwork]:
    """Two networks of one start, the second with another head and another last stage."""
    made = []
    for number in (0, 1):
        seed_all(0)
        network = build_network("resnet18", 0.0)
        if number:
            for name in ("layer4", "fc"):
                for parameter in network.classifier.get_submodule(name).parameters():
                    torch.nn.init.normal_(parameter, std=0.05)
        freeze(network, what, pretrained=True)
        made.append(network.eval())
    return made


def test_an_ensemble_answers_with_the_mean_of_the_logits_and_holds_what_is_frozen_once() -> None:
    one, other = members("early")
    photos = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        alone = one(photos), other(photos)
        ensemble = Ensemble([one, other])
        together = ensemble(photos)
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)
    assert not torch.allclose(*alone)
    first, second = (member.classifier for member in ensemble.members)
    assert first.get_submodule("layer1") is second.get_submodule("layer1")
    assert first.get_submodule("layer4") is not second.get_submodule("layer4")


def test_networks_are_judged_at_their_best_temperature() -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, 5, 200))
    logits = torch.from_numpy(np.eye(5)[labels] + random.normal(size=(200, 5)))
    found, unsure = Judged.of(logits, labels), Judged.of(logits / 3, labels)
    assert found.loss == pytest.approx(unsure.loss, rel=1e-6)
    plain = -log_softmax(logits.numpy(), axis=1)[np.arange(200), labels.numpy()].mean()
    assert found.loss <= plain
    assert found.accuracy == pytest.approx(float((logits.argmax(1) == labels).double().mean()))


def test_members_have_seeds_of_their_own_and_the_first_keeps_the_jobs() -> None:
    settings = TrainingSettings(seed=5, members=3)
    seeds = [settings.member(number).seed for number in range(3)]
    assert seeds[0] == 5
    assert len({*seeds, *(TrainingSettings(seed=6).member(number).seed for number in range(1, 3))}) == 5


@pytest.mark.e2e
def test_a_job_of_two_members_goes_on_after_a_stop_and_leaves_one_model(tmp_path: Path) -> None:
    make_channels(tmp_path)
    start = tmp_path / "start.pth"
    torch.save(build_network("resnet18", 0.0).classifier.state_dict(), start)
    recipe = {"backbone": "resnet18", "members": 2, "epochs": 3, "ema": 0, "weights": start}
    configure(tmp_path, **recipe)
    with Job([tmp_path]) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    assert "member 1 of 2: seed 0" in outputs[0]
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    judged = record["ensemble"]
    assert f"validation loss of the ensemble {judged['together']['loss']:.4f}, of its members" in outputs[0]
    assert len(judged["members"]) == 2
    assert f"best_validation_accuracy={judged['together']['accuracy']:.6g}" in outputs[0]
    assert '<h2 id="members">Members</h2>' in (tmp_path / "model" / "report" / "training.html").read_text()
    weights = tmp_path / "model" / "weights.safetensors"
    missing, unexpected = Ensemble(members("early")).load_state_dict(load_file(weights), strict=False)
    assert not unexpected
    assert {".".join(name.split(".")[:4]) for name in missing} == {
        f"members.1.classifier.{name}" for name in ("conv1", "bn1", "layer1")
    }

    def convolutions(network: str) -> int:
        return sum(node.op_type == "Conv" for node in onnx.load(network).graph.node)

    assert convolutions(str(tmp_path / "model" / "model.onnx")) == 2 * 20 - 5, "conv1 and layer1 run once"

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
    for name, value in load_file(weights).items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-4, atol=1e-5)
