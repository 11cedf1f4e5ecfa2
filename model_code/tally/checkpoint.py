"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file that is whole or absent."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tally.errors import TallyError

_FORMAT = "tally-checkpoint/1"
_FILE = "last.pt"
# What may differ when a run goes on: it changes where the work is done and what is watched, not what is computed.
_FREE = ("workers", "processes", "profile_steps")

State = dict[str, Any]


@dataclass
class Position:
    """How far a run is: `step` batches into `epoch`, with that epoch's sums so far."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    confusion: Tensor | None = None
    seconds: float = 0.0


class Checkpoints:
    """The checkpoint directory of one run; `identity` is what a checkpoint must agree with to be resumed."""

    def __init__(self, directory: Path, identity: dict[str, Any]) -> None:
        self._file = directory / _FILE
        self._identity = {key: value for key, value in identity.items() if key not in _FREE}

    def save(self, state: State) -> None:
        """Write `state` atomically; TallyError when the place cannot be written."""
        partial = self._file.with_suffix(".partial")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as stream:
                torch.save({"format": _FORMAT, "identity": self._identity, **state}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._file)
        except (OSError, RuntimeError) as error:
            raise TallyError(
                f"checkpoint '{self._file}' cannot be written ({error}); free space or make the place writable"
            ) from error

    def load(self) -> State | None:
        """Return what was saved last, None at the beginning of a run.

        Raises TallyError when the file is damaged or belongs to another run, naming what differs.
        """
        if not self._file.exists():
            return None
        remedy = "use another checkpoint location, or delete it to start over"
        try:
            state: State = torch.load(self._file, map_location="cpu", weights_only=True)
        except Exception as error:  # half a file makes its reader raise almost anything
            raise TallyError(f"checkpoint '{self._file}' cannot be read ({error}); {remedy}") from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise TallyError(f"checkpoint '{self._file}' is not of the form {_FORMAT}; {remedy}")
        saved = state["identity"]
        differs = [
            f"{key} was {saved.get(key)!r} and is {self._identity.get(key)!r}"
            for key in sorted(saved.keys() | self._identity.keys())
            if saved.get(key) != self._identity.get(key)
        ]
        if differs:
            raise TallyError(f"checkpoint '{self._file}' belongs to another run: {'; '.join(differs)}; {remedy}")
        return state
