"""Evaluation jobs as SageMaker lays them out: a real split, and models that answer what a test wants."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.evaluation import main
from tally.paths import MlPaths
from tests.model_code.tiny_model import CHANNELS, pack, write_model, write_test_split

N = 120
MODELS = ("challenger", "champion", "baseline")
ARGUMENTS = ["--champion-name", "baseline"]


@dataclass(frozen=True)
class Job:
    """An evaluation's inputs: what is true and what each model answers."""

    paths: MlPaths
    true: list[int]
    answers: Mapping[str, list[int]]
    groups: list[str]

    def run(self, *arguments: str) -> dict[str, Any]:
        main([*ARGUMENTS, *arguments], self.paths)
        document: dict[str, Any] = json.loads((self.output / "evaluation.json").read_text(encoding="utf-8"))
        return document

    @property
    def output(self) -> Path:
        return self.paths.processing_output("evaluation")


def make_job(
    root: Path,
    accuracy: Mapping[str, float],
    photos_a_group: int = 3,
    seed: int = 0,
    always: Mapping[str, int] | None = None,
) -> Job:
    generator = np.random.default_rng(seed)
    true = generator.choice([1, 2, 3, 4, 5], N, p=[0.3, 0.2, 0.1, 0.15, 0.25])
    answers = {}
    for name in MODELS:
        right = generator.random(N) < accuracy[name]
        answers[name] = np.where(right, true, 1 + (true + generator.integers(0, 4, N)) % 5).tolist()
    answers |= {name: [count] * N for name, count in (always or {}).items()}
    groups = [f"block:{i // photos_a_group}" for i in range(N)]
    paths = MlPaths(root)
    write_test_split(paths.processing_input("test"), true.tolist(), *(answers[name] for name in MODELS), groups)
    for name, channel in zip(MODELS, CHANNELS, strict=True):
        pack(write_model(root / "models" / name, channel), paths.processing_input(name) / "model.tar.gz")
    return Job(paths, true.tolist(), answers, groups)


GOOD = {"challenger": 0.9, "champion": 0.4, "baseline": 0.3}
