"""Training jobs as SageMaker starts them: real processes, real signals, real sockets between ranks."""

import dataclasses
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax

from tally.calibration import Calibration
from tally.data.shard_writer import write_split
from tally.data.shards import Split
from tally.loader import ValidationPhotos
from tally.network import build_network
from tally.settings import TrainingSettings
from tally.softening import unsoftening
from tests.model_code.jobs import Job, configure, losses, make_channels, prepared

HOSTS = ("algo-1", "algo-2")
# Float32 sums in another order differ in the last bits and training amplifies that: one process with another number of
# threads differs from itself by about 4e-5 after two epochs with these settings, and by percents with a large rate.
# That the arithmetic is the same is shown to the last bits in test_batchnorm.py.
TOLERANCE = 1e-3
SGD = {"optimizer": "sgd", "lr": 0.001, "clip_norm": 1}
NORMALISED = {"backbone": "resnet18"}  # statistics of batches are shared by ranks, too
TRIAL = {"_tuning_objective_metric": "best_validation_accuracy"}  # exports no model, which takes longer than training


def two_hosts(tmp_path: Path, **hyperparameters: object) -> list[Path]:
    roots = []
    for host in HOSTS:
        root = tmp_path / host
        make_channels(root)
        configure(root, HOSTS, host, **hyperparameters)
        roots.append(root)
    return roots


def test_a_job_writes_the_whole_model_directory_and_its_onnx_answers_for_any_batch(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, low_precision="auto")
    with Job([tmp_path], {"TRAINING_JOB_NAME": "job-7", "TALLY_GIT_COMMIT": "abc123"}) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    model = tmp_path / "model"
    assert {file.name for file in model.iterdir()} == {
        "model.onnx",
        "model.json",
        "weights.safetensors",
        "trained_on.safetensors",
        "training.json",
        "data.json",
        "photos.npy",
        "report",
    }
    description = json.loads((model / "model.json").read_text())
    assert (description["training_job"], description["git_commit"]) == ("job-7", "abc123")
    assert description["precision"] == "fp32"
    judged = json.loads((model / "training.json").read_text())["low_precision"]
    assert judged["reason"].startswith("not tried: 30 validation photos cannot show a loss below 0.5 points")
    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    for photos in (1, 5):
        (answer,) = session.run(None, {"photos": np.zeros((photos, 32, 32, 3), np.uint8)})
        assert answer.shape == (photos, 5)
        assert np.allclose(answer.sum(1), 1, atol=1e-5)
    page = (model / "report" / "training.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page), "the report must open without network"
    assert "<b>fp32 serves</b>: not tried: 30 validation photos" in page


@pytest.mark.e2e
def test_two_ranks_give_the_losses_of_one_with_the_same_global_batch(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    make_channels(alone)
    configure(
        alone, **NORMALISED, **SGD, **TRIAL, mixup=0, sam=0.01
    )  # a photo's partner is of its rank's share of the batch
    with Job([alone]) as job:
        codes, outputs = job.finish()
    assert codes == [0], outputs
    roots = two_hosts(tmp_path, **NORMALISED, **SGD, **TRIAL, mixup=0, sam=0.01)
    with Job(roots) as job:
        codes, outputs = job.finish()
    assert codes == [0, 0], outputs
    assert " ranks=2 " in outputs[0]
    assert "epoch=" not in outputs[1], "only rank 0 reports"
    np.testing.assert_allclose(losses(roots[0]), losses(alone), rtol=TOLERANCE)


@pytest.mark.e2e
def test_what_ranks_report_of_validation_is_what_the_exported_model_does(tmp_path: Path) -> None:
    start = tmp_path / "resnet18.pth"
    torch.save(build_network("resnet18", 0.0).classifier.state_dict(), start)
    roots = two_hosts(tmp_path, **NORMALISED, sync_batchnorm="false", weights=start)
    with Job(roots) as job:
        codes, outputs = job.finish()
    assert codes == [0, 0], outputs
    training = json.loads((roots[0] / "model" / "training.json").read_text())
    reported = training["history"][training["best_epoch"]]["validation_loss"]
    session = onnxruntime.InferenceSession(roots[0] / "model" / "model.onnx", providers=["CPUExecutionProvider"])
    photos = ValidationPhotos(Split.open(roots[0] / "input" / "data" / "validation"), 32)
    pixels, labels = zip(*(photos[index] for index in range(len(photos))), strict=True)
    (answers,) = session.run(None, {"photos": np.stack(pixels)})
    network = build_network("resnet18", 0.0)
    network.load_state_dict(load_file(roots[0] / "model" / "weights.safetensors"))
    with torch.inference_mode():
        softened = network.eval()(torch.from_numpy(np.stack(pixels)))
        logits = unsoftening(TrainingSettings(weights=str(start)))(softened)
    ours = -log_softmax(logits.numpy(), axis=1)[np.arange(len(labels)), labels].mean()
    assert reported == pytest.approx(ours, rel=1e-3)
    calibration = Calibration(**training["calibration"])
    np.testing.assert_allclose(calibration.scaling()(logits).numpy(), answers, atol=1e-4)


@pytest.mark.e2e
def test_the_same_seed_gives_the_same_losses_to_the_last_bit_and_another_seed_others(tmp_path: Path) -> None:
    found = []
    for name, seed in (("first", 5), ("second", 5), ("third", 6)):
        root = tmp_path / name
        make_channels(root)
        configure(root, seed=seed, dropout=0.3, epochs=1, workers=1, **TRIAL)
        with Job([root]) as job:
            codes, outputs = job.finish()
        assert codes == [0], outputs
        assert not (root / "model").exists(), "a tuning trial exports nothing"
        found.append(losses(root))
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.e2e
@pytest.mark.parametrize("hosts", [1, 2])
def test_sigterm_amid_an_epoch_then_resume_equals_the_uninterrupted_run(tmp_path: Path, hosts: int) -> None:
    settings = {"epochs": 3, "dropout": 0.3, "batch_size": 4, "sam": 0.05 if hosts == 1 else 0, **SGD, **TRIAL}

    def trees(name: str) -> list[Path]:
        if hosts == 2:
            return two_hosts(tmp_path / name, **settings, **NORMALISED)
        make_channels(tmp_path / name)
        configure(tmp_path / name, **settings)
        return [tmp_path / name]

    whole = trees("whole")
    with Job(whole) as job:
        codes, outputs = job.finish()
    assert set(codes) == {0}, outputs

    broken = trees("broken")
    with Job(broken) as job:
        job.wait_for_epoch()
        time.sleep(0.1)
        for process in job.processes:
            process.send_signal(signal.SIGTERM)
        codes, outputs = job.finish(60)
    assert set(codes) == {143}, outputs
    assert not any((root / "output" / "failure").exists() for root in broken)
    for root in broken[1:]:  # SageMaker restores every host from the same S3 location
        shutil.copytree(broken[0] / "checkpoints", root / "checkpoints", dirs_exist_ok=True)
    with Job(broken) as job:
        codes, outputs = job.finish()
    assert set(codes) == {0}, outputs
    resumed = next(line for line in outputs[0].splitlines() if line.startswith("resumed "))
    assert not resumed.endswith("step=0"), "the signal came between two epochs: the test proves nothing"
    np.testing.assert_allclose(losses(broken[0]), losses(whole[0]), rtol=1e-9 if hosts == 1 else TOLERANCE)


@pytest.mark.e2e
def test_a_rank_that_raises_fails_every_host_soon_and_leaves_its_own_traceback(tmp_path: Path) -> None:
    roots = two_hosts(tmp_path, **TRIAL)
    photos = prepared(64, 1)
    photos[0] = dataclasses.replace(photos[0], jpeg=photos[0].jpeg[:400])
    for root in roots:
        shutil.rmtree(root / "input" / "data" / "train")
        (root / "input" / "data" / "train").mkdir()
        write_split(root / "input" / "data" / "train", photos, split="train", stored_side=40)
    started = time.monotonic()
    with Job(roots) as job:
        codes, outputs = job.finish(240)
    assert all(code != 0 for code in codes), outputs
    assert time.monotonic() - started < 200, "ranks that wait for a lost one give up after ten minutes"
    reasons = [(root / "output" / "failure").read_text() for root in roots]
    assert sum("truncated" in reason.lower() for reason in reasons) == 1, reasons
    assert all("line " in reason for reason in reasons), "each host tells where its rank was"


def test_a_killed_rank_fails_the_job_with_a_reason(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=500)
    with Job([tmp_path]) as job:
        job.wait_for_epoch()
        for child in psutil.Process(job.processes[0].pid).children():
            os.kill(child.pid, signal.SIGKILL)
        codes, _ = job.finish(30)
    assert codes == [1]
    assert "killed by SIGKILL" in (tmp_path / "output" / "failure").read_text()
