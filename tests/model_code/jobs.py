"""Makes training jobs as SageMaker lays them out, from photos small enough for seconds of training."""

import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from tally.data.shard_writer import Prepared, write_split
from tally.labels import COUNTS

MODEL_CODE = Path(__file__).resolve().parents[2] / "model_code"
# The quickest of torchvision's: a tenth of a resnet18's time. It has no batch normalisation.
QUICK = {"backbone": "squeezenet1_1", "image_size": 32, "epochs": 2, "batch_size": 16, "workers": 0, "dropout": 0.0}


def bright_squares(count: int, seed: int, side: int = 40) -> bytes:
    """A JPEG with `count` squares on a dark ground."""
    chance = random.Random(seed)
    image = Image.new("RGB", (side, side), (40, 36, 30))
    draw = ImageDraw.Draw(image)
    for place in chance.sample(range(9), count):
        left, top = place % 3 * 13 + chance.randint(1, 4), place // 3 * 13 + chance.randint(1, 4)
        draw.rectangle((left, top, left + 7, top + 7), fill=(200 + chance.randint(-20, 20), 180, 60))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def prepared(photos: int, seed: int = 0) -> list[Prepared]:
    """`photos` learnable photos, counts in turn, each its own group."""
    made = []
    for number in range(photos):
        jpeg = bright_squares(COUNTS[number % len(COUNTS)], seed * 100_000 + number)
        made.append(
            Prepared(
                id=f"{seed}-{number:05d}",
                count=COUNTS[number % len(COUNTS)],
                group=f"csv:{number}",
                source="test",
                sha256=hashlib.sha256(jpeg).hexdigest(),
                width=40,
                height=40,
                jpeg=jpeg,
            )
        )
    return made


def make_channels(root: Path, train: int = 64, validation: int = 30) -> None:
    """Write the train and validation channels under the tree `root`."""
    for split, photos, seed in (("train", train, 1), ("validation", validation, 2)):
        directory = root / "input" / "data" / split
        directory.mkdir(parents=True)
        write_split(directory, prepared(photos, seed), split=split, stored_side=40)


def configure(
    root: Path, hosts: tuple[str, ...] = ("algo-1",), current: str = "algo-1", **hyperparameters: Any
) -> None:
    """Write the config of a job: every value a string, as SageMaker sends it."""
    config = root / "input" / "config"
    config.mkdir(parents=True, exist_ok=True)
    values = {name: str(value) for name, value in (QUICK | hyperparameters).items()}
    (config / "hyperparameters.json").write_text(json.dumps(values))
    resources = {"current_host": current, "hosts": list(hosts), "network_interface_name": "lo"}
    (config / "resourceconfig.json").write_text(json.dumps(resources))


@dataclass
class Job:
    """Processes of one training job, one a tree; ended with the block."""

    roots: list[Path]
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __enter__(self) -> "Job":
        environment = os.environ | {
            "PYTHONPATH": str(MODEL_CODE),
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            **self.environment,
        }
        for root in self.roots:
            command = [sys.executable, "-m", "tally", "train"]
            self.processes.append(
                subprocess.Popen(
                    command,
                    env=environment | {"TALLY_ML_ROOT": str(root)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def wait_for_epoch(self) -> None:
        """Return once the first process has told of its first epoch."""
        stdout = self.processes[0].stdout
        assert stdout is not None
        while "epoch=0 " not in stdout.readline():
            assert self.processes[0].poll() is None

    def finish(self, seconds: float = 120) -> tuple[list[int], list[str]]:
        """Wait for all; return exit codes and outputs."""
        outputs = [process.communicate(timeout=seconds)[0] for process in self.processes]
        return [process.returncode for process in self.processes], outputs


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def losses(root: Path) -> list[tuple[float, float]]:
    """(train, validation) loss of every epoch of a finished job."""
    lines = (root / "output" / "data" / "metrics.jsonl").read_text().splitlines()
    return [(row["train_loss"], row["validation_loss"]) for row in map(json.loads, lines)]
