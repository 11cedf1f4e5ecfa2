"""The Dockerfile and what it relies on, as far as that can be shown without a Docker engine."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

from tests.model_code.jobs import MODEL_CODE

ROOT = MODEL_CODE.parent
DOCKERFILE = (MODEL_CODE / "Dockerfile").read_text()
NOT_IN_SERVE = ("torch", "torchvision", "onnx", "scipy", "matplotlib", "jinja2", "safetensors", "pickletools")


def test_both_targets_have_exec_form_entry_points_and_pinned_bases() -> None:
    targets = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.M)
    assert targets == [("${BASE}", "base"), ("base", "train"), ("base", "serve")]
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-bookworm$", DOCKERFILE, re.M)
    entry_points = [json.loads(line) for line in re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.M)]
    assert entry_points == [["python", "-m", "tally"]] * 2


def test_everything_copied_exists_and_passes_dockerignore() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.M)
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in allowed


def test_all_code_is_compiled_when_the_image_is_built() -> None:
    stages = DOCKERFILE.split("\nFROM ")[2:]
    assert len(stages) == 2
    for stage in stages:
        assert "--no-compile" not in stage
        assert "COPY model_code/tally code/tally\nRUN python -m compileall -q code\n" in stage


def test_the_serving_half_needs_nothing_that_its_image_lacks() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "requirements" / "serve.txt").read_text().splitlines()}
    assert not pinned & set(NOT_IN_SERVE)
    code = (
        f"import sys\nfor name in {NOT_IN_SERVE!r}: sys.modules[name] = None\n"
        "import tally.__main__, tally.server, tally.predictor"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(MODEL_CODE)}, check=True)


def test_a_deployer_installs_no_torch() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "requirements" / "deploy.txt").read_text().splitlines()}
    assert "sagemaker" in pinned
    assert not {"torch", "torchvision", "onnxruntime"} & pinned


@pytest.fixture
def open_tmp_path() -> Iterator[Path]:
    """A temporary directory that other users can pass through, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", ["train", "preprocess"])
def test_a_container_started_as_root_works_as_its_user_in_directories_that_root_made(
    open_tmp_path: Path, command: str
) -> None:
    tmp_path = open_tmp_path
    for name in ("model", "output", "processing/output/report"):
        (tmp_path / name).mkdir(parents=True)
    code = (
        "import os, sys, tally.__main__ as m, pathlib\n"
        "def seen(argv, paths):\n"
        "    target = paths.model if sys.argv[1] == 'train' else paths.processing_output('report')\n"
        "    (target / 'who').write_text(f'{os.geteuid()} {os.getegid()} {os.getgroups()}')\n"
        "    return 0\n"
        "m._COMMANDS[sys.argv[1]] = (seen, '')\n"
        "sys.exit(m.main(sys.argv[1:]))"
    )
    environment = {"PYTHONPATH": str(MODEL_CODE), "TALLY_ML_ROOT": str(tmp_path), "TALLY_USER": "nobody"}
    subprocess.run([sys.executable, "-c", code, command], env=environment, check=True)
    written = tmp_path / ("model" if command == "train" else "processing/output/report") / "who"
    assert not written.read_text().startswith("0 ")
    assert written.stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_that_the_image_lacks_is_an_error(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(MODEL_CODE), "TALLY_ML_ROOT": str(tmp_path), "TALLY_USER": "nobody-at-all"}
    result = subprocess.run(
        [sys.executable, "-m", "tally", "serve"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "TALLY_USER is 'nobody-at-all', a user that this image does not have" in result.stderr


def test_baked_weights_are_what_training_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MODEL_CODE)
    import bake_weights
    from tally.network import build_network, find_weights, load_pretrained

    state = models.resnet18(weights=None).state_dict()
    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", lambda *_, **__: state)
    bake_weights.bake(tmp_path, ["resnet18"])
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path))
    file = find_weights("pretrained", "resnet18", [tmp_path / "no-channel"])
    assert file is not None
    assert torch.equal(load_file(file)["conv1.weight"], state["conv1.weight"])
    load_pretrained(build_network("resnet18", dropout=0), file)
