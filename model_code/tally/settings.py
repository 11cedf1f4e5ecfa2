"""Settings of a training job: hyperparameters as SageMaker sends them, typed and checked once.

SageMaker passes every hyperparameter as a string; the SDK and tuning jobs sometimes add JSON quotes, and a
tuning job adds `_tuning_objective_metric`.
"""

import dataclasses
import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.errors import TallyError

FREEZE = ("none", "early", "all_but_last_stage", "backbone")
OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "step", "constant")
CLASS_WEIGHTING = ("none", "balanced")
SAMPLING = ("natural", "balanced")
LOW_PRECISION = ("off", "auto", "int8")
_TRIAL_MARK = "_tuning_objective_metric"


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides a training run besides the photos; equal settings and photos give equal losses."""

    backbone: str = "resnet18"
    image_size: int = 160
    stretch: float = 1.0  # how far the ratio of a photo's sides may be changed to fill the square; 1 keeps it
    weights: str = "none"  # none | pretrained | a file
    freeze: str = "early"  # none | early | all_but_last_stage | backbone, see `network.freeze`
    dropout: float = 0.3
    epochs: int = 20
    batch_size: int = 32  # photos a step over all ranks together
    optimizer: str = "adamw"
    lr: float = 1e-3
    layer_decay: float = 1.0  # rate of a layer relative to the next one; the head has `lr`
    weight_decay: float = 0.02
    momentum: float = 0.9  # sgd only
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    step_epochs: int = 10  # schedule=step: epochs between two cuts
    step_factor: float = 0.1  # schedule=step: what a cut leaves of the rate
    clip_norm: float = 5.0  # 0 switches clipping off
    sam: float = 0.0  # radius of sharpness-aware steps, which take twice the time, see `sharpness`; 0: plain steps
    label_smoothing: float = 0.0
    softening: float = 2.0  # how far labels spread to neighbouring counts; 0: not at all
    emd: float = 0.0  # weight of the squared earth mover's distance beside cross-entropy
    class_weighting: str = "none"
    sampling: str = "balanced"  # balanced: every count equally often
    mixup: float = 0.4  # alpha of the ratio at which photos are laid over each other; 0: never
    ema: float = 0.99  # decay a step of the averaged weights that are judged and exported; 0: the last weights
    members: int = 1  # networks trained one after the other that answer together, see `ensemble`
    crop_scale: float = 0.7  # smallest share of the photo that a random crop keeps; 1 switches cropping off
    flip: float = 0.5  # probability of a mirrored photo
    rotation: float = 5.0  # degrees either way
    color_jitter: float = 0.2  # brightness, contrast and saturation, either way
    flip_tta: bool = False  # the exported model averages a photo with its mirror image, at twice the time
    low_precision: str = "off"  # off | auto | int8: whether an int8 copy is made and judged, see `low_precision`
    accuracy_margin: float = 0.005  # what the int8 copy must be shown not to lose, as a share of the photos
    patience: int = 0  # epochs without a better validation accuracy before stopping; 0 never stops early
    amp: bool = True  # mixed precision; GPUs only
    sync_batchnorm: bool = True  # batch statistics over all ranks: they do not depend on how many there are
    workers: int = -1  # loader processes a rank; -1: one a CPU that no rank uses, at most 8
    processes: int = 0  # ranks a host; 0: one a GPU, or one on a host without GPUs
    profile_steps: int = 4  # steps that torch.profiler looks at for the training report; 0: none
    seed: int = 0
    trial: bool = False  # part of a tuning job: judged by its metrics, exports no model

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, ...]] = {
            "freeze": FREEZE,
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "class_weighting": CLASS_WEIGHTING,
            "sampling": SAMPLING,
            "low_precision": LOW_PRECISION,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise _wrong(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise _wrong(name, value, f"between {low:g} and {high:g}")
        if self.class_weighting == self.sampling == "balanced":
            raise _wrong("class_weighting", "balanced", "none while sampling=balanced: both would correct twice")
        if self.warmup_epochs > self.epochs:
            raise _wrong("warmup_epochs", self.warmup_epochs, f"at most epochs={self.epochs}")

    @classmethod
    def read(cls, file: Path) -> "TrainingSettings":
        """Read `hyperparameters.json`; TallyError when it is missing, no JSON object, or something in it is wrong."""
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError(f"it is no JSON object but {values!r:.80}")
        except (OSError, ValueError) as error:
            raise TallyError(
                f"hyperparameters '{file}' cannot be read ({error}); start this as a training job"
            ) from error
        return cls.from_hyperparameters(values)

    @classmethod
    def from_hyperparameters(cls, hyperparameters: Mapping[str, Any]) -> "TrainingSettings":
        """Settings from what SageMaker passes; TallyError names the key, the bad value and what is allowed."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {"trial": _TRIAL_MARK in hyperparameters}
        for key, raw in hyperparameters.items():
            if key == _TRIAL_MARK or key.startswith("sagemaker_"):
                continue
            if key == "trial":
                raise TallyError("hyperparameter 'trial' cannot be given; SageMaker marks the jobs of a tuning job")
            if key not in fields:
                near = difflib.get_close_matches(key, fields, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(fields))}"
                raise TallyError(f"hyperparameter '{key}' is not known{hint}")
            text = _unquote(str(raw))
            parse, kind = _PARSERS[str(fields[key].type)]
            try:
                values[key] = parse(text)
            except ValueError:
                raise _wrong(key, text, kind) from None
        return cls(**values)

    def member(self, number: int) -> "TrainingSettings":
        """Settings of one member of an ensemble, which differ by the seed alone; number 0 keeps it."""
        seed = self.seed if not number else int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0] >> 1)
        return dataclasses.replace(self, seed=seed)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return dataclasses.asdict(self)


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("image_size", 32, 1024),
    ("stretch", 1, 100),
    ("dropout", 0, 0.95),
    ("epochs", 1, 10_000),
    ("batch_size", 1, 65_536),
    ("lr", 1e-8, 10),
    ("layer_decay", 0.01, 1),
    ("weight_decay", 0, 10),
    ("momentum", 0, 0.9999),
    ("warmup_epochs", 0, 10_000),
    ("step_epochs", 1, 10_000),
    ("step_factor", 1e-6, 1),
    ("clip_norm", 0, 1e6),
    ("sam", 0, 10),
    ("label_smoothing", 0, 0.9),
    ("softening", 0, 100),
    ("emd", 0, 100),
    ("mixup", 0, 10),
    ("ema", 0, 0.99999),
    ("members", 1, 16),
    ("crop_scale", 0.05, 1),
    ("flip", 0, 1),
    ("rotation", 0, 180),
    ("color_jitter", 0, 1),
    ("accuracy_margin", 1e-4, 0.1),
    ("patience", 0, 10_000),
    ("workers", -1, 128),
    ("processes", 0, 64),
    ("profile_steps", 0, 100),
    ("seed", 0, 2**31 - 1),
)


def _parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return lowered in ("true", "1")


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "<class 'str'>": (str, "text"),
    "<class 'int'>": (int, "a whole number"),
    "<class 'float'>": (float, "a number"),
    "<class 'bool'>": (_parse_bool, "true or false"),
}


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _wrong(key: str, value: object, allowed: str) -> TallyError:
    return TallyError(f"hyperparameter '{key}' is '{value}'; it must be {allowed}")
