"""Runs the containers' jobs one after another on this machine, and never one twice.

A finished job is known by what decides its result: the code, the photos, its settings. A training that was stopped
goes on from its checkpoint.
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from local.errors import LocalError, StoppedError
from local.files import digest, file_digest, read_json, write_json
from local.jobs.archive import pack
from local.jobs.containers import Containers
from local.jobs.failure import failure_reason
from local.jobs.tree import Tree, link_or_copy
from local.memory import MemoryMeter
from local.platform import code_version
from local.processes import Process, marked, run_together
from local.settings import REPOSITORY
from local.stopping import StopSignal
from ops.photos import photo_files

SPLITS = ("train", "validation", "test")
_GRACE_SECONDS = 120.0  # from SIGTERM to SIGKILL, as SageMaker gives: time for a checkpoint
_DONE = "done.json"

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Splits:
    """Prepared photos: `folder/{train,validation,test}`. `key` names what they were made from."""

    folder: Path
    key: str

    def photos(self, split: str) -> list[dict[str, Any]]:
        """The manifest of one split, sorted by id."""
        lines = [
            line
            for file in sorted((self.folder / split).glob("manifest-*.jsonl"))
            for line in file.read_text("utf-8").splitlines()
        ]
        return sorted((json.loads(line) for line in lines), key=lambda photo: str(photo["id"]))


@dataclass(frozen=True)
class Trained:
    """A finished training job.

    `history` has what the trainer reported of each epoch, of the best member where it averaged several. `seconds` is
    training by the trainer's own clock, which a stopped run carries on: steps and waiting for photos, of all members.
    `job_seconds` is the wall time of the whole job with all its attempts, `description` is model.json.
    """

    key: str
    archive: Path
    description: Mapping[str, Any]
    settings: Mapping[str, Any]
    best_epoch: int
    history: Sequence[Mapping[str, Any]]
    seconds: float
    job_seconds: float

    @property
    def epoch_seconds(self) -> float:
        """Mean of an epoch by the trainer's clock."""
        return float(sum(epoch["seconds"] for epoch in self.history)) / len(self.history)


class Jobs:
    """Runs jobs below `folder`. `image` is the folder whose package `tally` stands for the container image.

    `started` counts the processes that were needed: none where everything is kept from before.
    """

    def __init__(self, folder: Path, stop: StopSignal, image: Path = REPOSITORY / "model_code") -> None:
        self.folder = folder
        self.started = 0
        self._stop = stop
        self._containers = Containers(python_path=image)
        self.code = code_version(image)

    def preprocess(self, photos: Mapping[str, Path], image_size: int, on_line: OnLine) -> Splits:
        """Check, split and pack `photos` (name below the prefix -> file), as the pipeline's first step does.

        They are known by name and content: a copy with other times is the same photos, which hours of training hang on.
        """
        contents = {name: file_digest(path, "sha256") for name, path in photos.items()}
        key = self.key("preprocess", contents, image_size)
        folder = self.folder / f"photos-{key}"
        splits = Splits(folder / "tree" / "processing" / "output", key)
        if (folder / _DONE).exists():
            return splits
        shutil.rmtree(folder, ignore_errors=True)
        tree = Tree(folder / "tree")
        tree.make(["config", "output", "processing/output", "processing/input/photos"])
        for name, path in photos.items():
            link_or_copy(path, tree.root / "processing" / "input" / "photos" / name)
        seconds = self._run(
            "Preprocess", tree, ["preprocess", "--image-size", str(image_size)], "output/message", on_line
        )
        shutil.rmtree(tree.root / "processing" / "input")
        write_json(folder / _DONE, {"photos": len(photos), "seconds": seconds, "code": self.code})
        return splits

    def train(
        self, what: str, hyperparameters: Mapping[str, str], splits: Splits, weights: Path | None, on_line: OnLine
    ) -> Trained:
        """Train to the end, from a checkpoint where there is one."""
        content = file_digest(weights, "sha256") if weights else None
        key = self.key("train", dict(hyperparameters), splits.key, content)
        folder = self.folder / f"training-{key}"
        if not (folder / _DONE).exists():
            tree = Tree(folder / "tree")
            tree.make(["input/config", "input/data", "model", "output/data", "checkpoints"])
            (tree.root / "output" / "failure").unlink(missing_ok=True)
            config = {"hyperparameters": dict(hyperparameters), "resourceconfig": _ONE_HOST}
            tree.write_config("input/config", config)
            for name in ("train", "validation"):
                _place(splits.folder / name, tree.root / "input" / "data" / name)
            if weights:
                _link(weights, tree.root / "input/data/weights" / f"{hyperparameters['backbone']}{weights.suffix}")
            began = time.monotonic()
            try:
                self._run(what, tree, ["train"], "output/failure", on_line)
            finally:
                _append(folder / "attempts.jsonl", {"seconds": time.monotonic() - began})
            pack(tree.root / "model", folder / "model.tar.gz")
            for name in ("checkpoints", "input/data"):
                shutil.rmtree(tree.root / name)
            write_json(folder / _DONE, {"what": what, "hyperparameters": dict(hyperparameters), "code": self.code})
        return _trained(key, folder)

    def evaluate(
        self, arguments: Sequence[str], splits: Splits, models: Mapping[str, Trained], on_line: OnLine
    ) -> dict[str, Any]:
        """Compare `models` (challenger, champion, baseline) on the test split.

        Returns evaluation.json, and the path of the report as `page`.
        """
        trained = {name: model.key for name, model in models.items()}
        folder = self.folder / f"evaluation-{self.key('evaluate', list(arguments), trained, splits.key)}"
        written = folder / "tree" / "processing" / "output" / "evaluation" / "evaluation.json"
        if not (folder / _DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            tree = Tree(folder / "tree")
            tree.make(["config", "output", "processing/output"])
            _place(splits.folder / "test", tree.root / "processing" / "input" / "test")
            for name, model in models.items():
                link_or_copy(model.archive, tree.root / "processing" / "input" / name / "model.tar.gz")
            seconds = self._run("Evaluate", tree, ["evaluate", *arguments], "output/message", on_line)
            shutil.rmtree(tree.root / "processing" / "input")
            write_json(folder / _DONE, {"models": trained, "seconds": seconds, "code": self.code})
        found = read_json(written, {})
        if not isinstance(found, dict) or not {"models", "gate"} <= found.keys():
            raise LocalError(f"what is kept of an evaluation in {folder} is damaged; delete that folder to judge again")
        return {**found, "page": str(written.with_name("evaluation.html"))}

    def key(self, *parts: object) -> str:
        """A name for what `parts` and the code make."""
        return digest([self.code, *parts])[:16]

    def _run(self, what: str, tree: Tree, command: Sequence[str], message: str, on_line: OnLine) -> float:
        """Run one job to its end; return its wall seconds.

        LocalError with its own words when it fails, StoppedError when it was asked to stop.
        """
        if self._stop.is_set():
            raise StoppedError(what)
        for left in marked(str(tree.root)):  # by a run of this command that was killed
            with contextlib.suppress(psutil.Error):
                left.kill()
        environment = self._containers.variables(tree, 1, {})
        if "OMP_NUM_THREADS" not in os.environ:
            del environment["OMP_NUM_THREADS"]  # the container takes all CPUs, as it does on SageMaker
        log = tree.root.parent / "job.log"
        self.started += 1
        began = time.monotonic()
        process = Process(
            self._containers.command("", (), command),
            environment=environment,
            folder=tree.root,
            log=log,
            meter=MemoryMeter(),
            on_line=on_line,
        )
        ending, failed = run_together([process], stop=self._stop, max_seconds=math.inf, grace_seconds=_GRACE_SECONDS)
        if ending == "stopped":
            raise StoppedError(what)
        if ending != "completed":
            raise LocalError(
                f"{what} failed: {failure_reason(failed, {process.name: tree}, message)}; its log is {log}"
            )
        return time.monotonic() - began


_ONE_HOST = {"current_host": "algo-1", "hosts": ["algo-1"]}


def raw_photos(data: Path, groups: Path | None, listing: Path | None) -> dict[str, Path]:
    """Files of a folder of photos by name, as they are uploaded; OpsError says what is wrong with it."""
    return {name: path.resolve() for name, path in photo_files(data, groups, listing).items()}


def _trained(key: str, folder: Path) -> Trained:
    try:
        return _read_trained(key, folder)
    except (LocalError, KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise LocalError(
            f"what is kept of a training in {folder} is damaged ({type(error).__name__}: {error}); delete that folder "
            "and it is trained again"
        ) from error


def _read_trained(key: str, folder: Path) -> Trained:
    summary = read_json(folder / "tree" / "model" / "training.json", {})
    attempts = (folder / "attempts.jsonl").read_text("utf-8").splitlines()
    return Trained(
        key=key,
        archive=folder / "model.tar.gz",
        description=read_json(folder / "tree" / "model" / "model.json", {}),
        settings=summary["settings"],
        best_epoch=summary["best_epoch"],
        history=summary["history"],
        seconds=float(sum(part["seconds"] for part in summary.get("ensemble", {}).get("members", summary["history"]))),
        job_seconds=sum(json.loads(line)["seconds"] for line in attempts),
    )


def _place(source: Path, target: Path) -> None:
    for file in source.iterdir():
        _link(file, target / file.name)


def _link(source: Path, target: Path) -> None:
    if not target.exists():
        link_or_copy(source, target)


def _append(file: Path, line: Mapping[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
