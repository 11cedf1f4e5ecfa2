"""The record of a training run: plain data in training.json that reports and diagnoses are made from."""

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tally.data.files import explain_write_errors
from tally.data.shards import Split
from tally.diagnosis import diagnose
from tally.labels import COUNTS
from tally.outcome import Outcome
from tally.settings import TrainingSettings

if TYPE_CHECKING:
    from tally.trials_report import TrialsView


def training_record(
    settings: TrainingSettings,
    train: Split,
    validation: Split,
    world: int,
    outcome: Outcome,
    watched: dict[str, Any],
) -> dict[str, Any]:
    """Everything a run left behind, as plain data without NaN or infinity; also of a run that broke off.

    `best_epoch` is -1 where no epoch was finished. `watched` is what `tally.watch` recorded.
    """
    history = [
        {name: value if math.isfinite(value) else None for name, value in asdict(result).items()}
        for result in outcome.history
    ]
    return {
        "best_epoch": outcome.best_epoch,
        "finished": outcome.finished,
        "stopped_early": outcome.stopped_early,
        "ranks": world,
        "settings": settings.as_dict(),
        "splits": {"train": _split(train), "validation": _split(validation)},
        "history": history,
        "watch": watched,
    }


def print_diagnosis(record: dict[str, Any]) -> None:
    """Tell the job's log what the rules found: `diagnosis: ...`, one line each."""
    for line in diagnose(record).lines():
        print(line, flush=True)


def write_training_record(directory: Path, record: dict[str, Any], trials: "TrialsView | None" = None) -> None:
    """Write training.json and report/training.html under `directory`; `trials`: the search that chose the settings.

    TallyError when they cannot be written.
    """
    from tally.training_report import write_training_report  # matplotlib takes a second to import

    with explain_write_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "training.json").write_text(json.dumps(record, allow_nan=False) + "\n", encoding="utf-8")
        write_training_report(directory / "report" / "training.html", record, trials)


def _split(split: Split) -> dict[str, Any]:
    photos = Counter(photo.count for photo in split.photos)
    return {"photos": len(split), "counts": {str(count): photos[count] for count in COUNTS}}
