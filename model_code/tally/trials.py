"""trial.json: what one training job of a tuning job leaves, and how the Train job that follows finds all of them.

A trial exports no model. SageMaker packs its `output/data` into `JOB/output/output.tar.gz` below the tuning job's
output prefix, and that prefix is the channel `trials` of Train: no job has to ask an API, so all stay isolated.
"""

import json
import math
import os
import tarfile
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tally.errors import TallyError
from tally.settings import TrainingSettings

TRIAL_FILE = "trial.json"
COMPLETED, STOPPED, BROKEN_OFF = "completed", "stopped", "broken off"
_ARCHIVE = "output.tar.gz"
_MOST_BYTES = 1024 * 1024  # of a trial.json; more is none of ours


class Epoch(Protocol):
    """What a trial remembers of an epoch."""

    @property
    def seconds(self) -> float: ...
    @property
    def best_validation_accuracy(self) -> float: ...


@dataclass(frozen=True)
class Trial:
    """One training job of a search. `objective` is the validation accuracy of its best epoch; None: it finished none.

    `ended` is `completed`, `stopped` (asked to: early stopping, spot capacity, a time limit), `failed: REASON`, or
    `broken off` when nothing was written at its end. `wrote` is when that was, in seconds since 1970.
    """

    job: str
    settings: Mapping[str, Any]
    objective: float | None
    epochs: int
    seconds: float
    ended: str
    wrote: float


@dataclass(frozen=True)
class Trials:
    """Every trial that left its record, and in words why each other archive could not be read."""

    found: tuple[Trial, ...]
    unread: tuple[str, ...] = ()


class TrialRecord:
    """Writes `file` anew after every epoch, so that a trial that is killed has left what it knew.

    Every method raises TallyError when the file cannot be written.
    """

    def __init__(self, file: Path, settings: TrainingSettings) -> None:
        self._file, self._settings = file, settings
        self._objective: float | None = None
        self._epochs, self._seconds = 0, 0.0
        self._write(BROKEN_OFF)

    def add(self, epoch: Epoch) -> None:
        """Note a finished epoch."""
        self._epochs += 1
        self._seconds += epoch.seconds
        self._objective = epoch.best_validation_accuracy
        self._write(BROKEN_OFF)

    def completed(self) -> None:
        """The trial ran to its end, or ran out of patience."""
        self._write(COMPLETED)

    def stopped(self) -> None:
        """The trial was asked to stop."""
        self._write(STOPPED)

    def failed(self, error: TallyError) -> None:
        """The trial ended with an error."""
        self._write(f"failed: {error}")

    def _write(self, how: str) -> None:
        record = Trial(
            job=os.environ.get("TRAINING_JOB_NAME", "unknown"),
            settings=self._settings.as_dict(),
            objective=self._objective,
            epochs=self._epochs,
            seconds=round(self._seconds, 3),
            ended=how,
            wrote=time.time(),
        )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise TallyError(f"trial record '{self._file}' cannot be written ({error}); free space there") from error


def read_trials(directory: Path) -> Trials:
    """Read every `output.tar.gz` at any depth below `directory`, best first; nothing there or no directory: no trials.

    A damaged or foreign archive is named in `unread` and costs nobody the report.
    """
    found: list[Trial] = []
    unread: list[str] = []
    for archive in sorted(directory.rglob(_ARCHIVE)) if directory.is_dir() else ():
        try:
            found.append(_read(archive))
        except (TallyError, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError) as error:
            unread.append(f"{archive.relative_to(directory)}: {error}")
    found.sort(key=lambda trial: (-math.inf if trial.objective is None else trial.objective, trial.job), reverse=True)
    return Trials(tuple(found), tuple(unread))


def _read(archive: Path) -> Trial:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if str(PurePosixPath(member.name)) != TRIAL_FILE or not member.isreg():
                continue
            if member.size > _MOST_BYTES:
                raise TallyError(f"{TRIAL_FILE} has {member.size} bytes; a trial writes less than {_MOST_BYTES}")
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 - a regular file has content
            return _parse(json.loads(content.read()))
    raise TallyError(f"it holds no {TRIAL_FILE}: no trial of this version wrote it")


def _parse(values: Mapping[str, Any]) -> Trial:
    objective = values["objective"]
    if not isinstance(values["settings"], dict):
        raise TypeError(f"settings are {values['settings']!r}; they must be an object")
    return Trial(
        job=str(values["job"]),
        settings=values["settings"],
        objective=float(objective) if objective is not None and math.isfinite(objective) else None,
        epochs=int(values["epochs"]),
        seconds=float(values["seconds"]),
        ended=str(values["ended"]),
        wrote=float(values["wrote"]),
    )
