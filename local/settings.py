"""What `python -m local run` may be told, checked once, and what it means for the environment `laptop` of cdk.json."""

import math
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from infra.names import Names
from local.errors import LocalError
from ops import environments
from pipeline.parameters import Value, check, check_together
from pipeline.search import usual_space

REPOSITORY = Path(__file__).resolve().parents[1]
ACCOUNT = "123456789012"
REGION = "eu-west-1"
ENVIRONMENT = "laptop"
NAMES = Names("tally", ENVIRONMENT)
RAW_BUCKET = NAMES.bucket("raw", ACCOUNT, REGION)
ARTIFACTS_BUCKET = NAMES.bucket("artifacts", ACCOUNT, REGION)
PREFIX = "photos"


@dataclass(frozen=True)
class LaptopDefaults:
    """Small values that two cores finish within minutes; those of the pipeline come from cdk.json."""

    backbone: str
    image_size: int
    epochs: int
    members: int
    hpo_jobs: int
    hpo_parallelism: int
    instances: int
    sample_photos: int = 1500
    seed: int = 0


def _defaults() -> LaptopDefaults:
    laptop = environments.load(ENVIRONMENT).training.parameters
    numbers = ("ImageSize", "Epochs", "Members", "HpoJobs", "HpoParallelism", "TrainInstanceCount")
    return LaptopDefaults(str(laptop["Backbone"]), *(int(laptop[name]) for name in numbers))


DEFAULTS = _defaults()
_GPU = environments.load(ENVIRONMENT).training.gpu
_WEIGHTS = (".pth", ".safetensors")
_SMALLEST_BATCH = 32  # of the search space; the others are its multiples
_AT_LEAST_ONE = (
    "epochs",
    "members",
    "hpo_jobs",
    "hpo_parallelism",
    "instances",
    "sample_photos",
    "max_instances",
)


@dataclass(frozen=True)
class RunSettings:
    """One run. `data` None: generated sample photos. `parameters`: pipeline parameters by name, on top of the rest."""

    build: Path
    data: Path | None = None
    weights: Path | None = None
    groups: Path | None = None
    listing: Path | None = None
    backbone: str = DEFAULTS.backbone
    image_size: int = DEFAULTS.image_size
    epochs: int = DEFAULTS.epochs
    members: int = DEFAULTS.members
    baseline_epochs: int | None = None  # None: a third of `epochs`
    hpo_epochs: int | None = None  # None: a quarter of `epochs`
    hpo_jobs: int = DEFAULTS.hpo_jobs
    hpo_parallelism: int = DEFAULTS.hpo_parallelism
    instances: int = DEFAULTS.instances
    max_instances: int = 4
    sample_photos: int = DEFAULTS.sample_photos
    seed: int = DEFAULTS.seed
    port: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise LocalError(f"{_option(name)} is {getattr(self, name)}; it must be at least 1")
        for name in ("baseline_epochs", "hpo_epochs"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise LocalError(f"{_option(name)} is {value}; it must be at least 1")
        if not 32 <= self.image_size <= 1024:
            raise LocalError(f"--image-size is {self.image_size}; it must be 32 to 1024")
        if not 0 <= self.seed < 2**31:
            raise LocalError(f"--seed is {self.seed}; it must be 0 or more, below {2**31}")
        if _SMALLEST_BATCH % self.instances:
            raise LocalError(
                f"--instances is {self.instances}; it must divide every batch searched: 1, 2, 4, 8, 16 or 32"
            )
        if self.weights is not None and (not self.weights.is_file() or self.weights.suffix not in _WEIGHTS):
            raise LocalError(
                f"--weights {self.weights} is not a file of weights; give a file named {' or '.join(_WEIGHTS)}"
            )
        known = {item.name for item in fields(self)}
        for name in self.parameters:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name) or name in known:
                raise LocalError(f"--parameter {name}: pipeline parameters are named like GateAlpha")
        try:
            check_together(self._parameters(), usual_space(self.weights is not None), gpu=_GPU)
        except ValueError as error:
            raise LocalError(str(error)) from error

    def overrides(self, code_version: str, weights_uri: str | None) -> dict[str, Any]:
        """What this run changes in the settings of its environment; `code_version` becomes the tag of both images."""
        return {
            "images": {name: f"tally-{name}:{code_version}" for name in ("train", "serve")},
            "training": {
                "pretrained": weights_uri is not None,
                "weights_uri": weights_uri,
                "parameters": self._parameters(),
            },
        }

    def _parameters(self) -> dict[str, Value]:
        """Pipeline parameters by name; ValueError names one that there is not, or a value it cannot have."""
        given: dict[str, object] = {
            "Backbone": self.backbone,
            "ImageSize": self.image_size,
            "Epochs": self.epochs,
            "Members": self.members,
            "BaselineEpochs": self.baseline_epochs or math.ceil(self.epochs / 3),
            "HpoEpochs": self.hpo_epochs or math.ceil(self.epochs / 4),
            "HpoJobs": self.hpo_jobs,
            "HpoParallelism": min(self.hpo_parallelism, self.hpo_jobs),
            "TrainInstanceCount": self.instances,
            "Seed": self.seed,
            **self.parameters,
        }
        return {name: check(name, value, gpu=_GPU) for name, value in given.items()}


def check_surroundings(settings: RunSettings) -> None:
    """Create the build directory and look at the port; LocalError when either cannot be used."""
    try:
        settings.build.mkdir(parents=True, exist_ok=True)
        probe = settings.build / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise LocalError(
            f"cannot write to the build directory {settings.build}: {why}; choose another --build"
        ) from error
    if settings.port is not None:
        _check_port(settings.port)


def _check_port(port: int) -> None:
    if not 1 <= port <= 65535:
        raise LocalError(f"--port is {port}; it must be 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalError(f"port {port} is taken: {error.strerror}; give another --port, or none for any") from error


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
