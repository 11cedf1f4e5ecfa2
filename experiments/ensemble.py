"""Several trials asked together, as the members of a training job are.

    PYTHONPATH=model_code python -m experiments.ensemble --shards DIR --kept DIR one two image_size=192

`one` and `two` are names of trials that ran with --keep.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from experiments.measures import Floats, measures, of_counts
from experiments.photos import Photos, divide
from experiments.table import COLUMNS
from experiments.trial import answers, hyperparameters, keep_freed_memory
from tally.errors import TallyError
from tally.network import PhotoNetwork, build_network
from tally.settings import TrainingSettings


def main() -> None:
    """Print a row for each trial and one for the mean of their logits."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ensemble", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "words", nargs="+", metavar="name|key=value", help="names of trials, and what they had in common"
    )
    parser.add_argument("--shards", type=Path, required=True, help="as the trials had it")
    parser.add_argument("--kept", type=Path, required=True, help="what the trials were told to --keep in")
    parser.add_argument("--share", type=float, default=0.6, help="as the trials had it (default %(default)s)")
    given = parser.parse_intermixed_args()
    names = [word for word in given.words if "=" not in word]
    if len(names) < 2:
        parser.error(f"{len(names)} trials are named; name at least two")
    try:
        settings = TrainingSettings.from_hyperparameters(hyperparameters([w for w in given.words if "=" in w]))
        _, judged = divide(given.shards, given.share)
        print(f"| networks | {' | '.join(COLUMNS)} | recall of 1 to 5 |")
        print("|---" * (len(COLUMNS) + 2) + "|")
        members = [_network(settings, given.kept / f"{name}.safetensors") for name in names]
        found = [answers(member, judged, settings)[0] for member in members]
        for name, logits in zip(names, found, strict=True):
            _show(name, of_counts(logits, settings), judged)
        _show("together", of_counts(np.mean(found, axis=0), settings), judged)
    except TallyError as error:
        sys.exit(f"error: {error}")


def _network(settings: TrainingSettings, file: Path) -> PhotoNetwork:
    if not file.is_file():
        raise TallyError(f"{file} is not there; run that trial with --keep {file.parent}")
    network = build_network(settings.backbone, settings.dropout)
    try:
        network.load_state_dict(load_file(file))
    except (RuntimeError, SafetensorError) as error:
        raise TallyError(f"{file} holds no weights of {settings.backbone} ({error}); say backbone=NAME") from error
    return network.to(memory_format=torch.channels_last)


def _show(name: str, logits: Floats, judged: Photos) -> None:
    figures = measures(logits, judged.labels)
    recalls = " ".join(f"{recall:.2f}" for recall in figures["recall"])
    print(f"| {name} | {' | '.join(f'{figures[column]:.3f}' for column in COLUMNS)} | {recalls} |", flush=True)


if __name__ == "__main__":
    keep_freed_memory()
    main()
