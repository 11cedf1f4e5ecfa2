"""Whether the source of a photo could explain the accuracy: models against a rule that knows only the source."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.data.observations import observations
from tally.decoding import means
from tally.evaluation.bootstrap import GroupBootstrap, interval
from tally.evaluation.proportions import bounds
from tally.evaluation.rules import Rules
from tally.evaluation.scoring import Truth
from tally.labels import COUNTS


@dataclass(frozen=True)
class SourceRow:
    """One source: its photos by count, the share of its commonest count here, and who is right how often.

    `accuracy` and its interval, aware of groups, by model; `alone` is the accuracy of the rule that knows the source.
    """

    source: str
    photos: int
    groups: int
    counts: tuple[int, ...]
    majority: float
    alone: float
    accuracy: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Gain:
    """Accuracy of the rule `alone`, the challenger's `gain` over it, and the gain's 95% interval."""

    alone: float
    gain: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class SourceCheck:
    """`explained`: with several sources, and at least one of the gains, raw or class-balanced, not surely above 0; of
    fewer than FEWEST_GROUPS groups none is.

    Each measure is held against the rule that is best in it, see `Rules`.
    """

    basis: str
    raw: Gain
    balanced: Gain
    explained: bool
    rows: tuple[SourceRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain = asdict(self)
        plain["rows"] = [row | {"counts": list(row["counts"])} for row in plain["rows"]]
        for row in plain["rows"]:
            row["intervals"] = {name: list(sides) for name, sides in row["intervals"].items()}
        for name in ("raw", "balanced"):
            plain[name]["interval"] = list(plain[name]["interval"])
        return plain


def check_sources(
    sources: Sequence[str],
    truth: Truth,
    rules: Rules,
    predicted: Mapping[str, npt.NDArray[np.int64]],
    bootstrap: GroupBootstrap,
) -> SourceCheck:
    """Compare the class indices [n] that models have `predicted` with the rules; the challenger is judged."""
    names, source = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    right = {name: answers == truth.true for name, answers in predicted.items()}
    rows = [_row(name, source == index, truth, rules, right) for index, name in enumerate(names.tolist())]
    gains = [
        _gain(right["challenger"], answers == truth.true, truth, bootstrap, balanced=balanced)
        for answers, balanced in ((rules.source, False), (rules.balanced_source, True))
    ]
    return SourceCheck(
        basis=rules.basis,
        raw=gains[0],
        balanced=gains[1],
        explained=len(names) > 1 and (bootstrap.few or any(gain.interval[0] <= 0 for gain in gains)),
        rows=tuple(sorted(rows, key=lambda row: (-row.photos, row.source))),
    )


def _row(
    name: str,
    inside: npt.NDArray[np.bool_],
    truth: Truth,
    rules: Rules,
    right: Mapping[str, npt.NDArray[np.bool_]],
) -> SourceRow:
    counts = np.bincount(truth.true[inside], minlength=len(COUNTS))
    photos, groups = int(inside.sum()), truth.group_numbers[inside]
    accuracy = {model: float(hits[inside].mean()) for model, hits in right.items()}
    worth = observations(groups)
    sides = {model: bounds(share, worth) for model, share in accuracy.items()}
    return SourceRow(
        source=name,
        photos=photos,
        groups=len(np.unique(groups)),
        counts=tuple(counts.tolist()),
        majority=float(counts.max() / photos),
        alone=float((rules.source == truth.true)[inside].mean()),
        accuracy=accuracy,
        intervals={model: (float(low), float(high)) for model, (low, high) in sides.items()},
    )


def _gain(
    model: npt.NDArray[np.bool_],
    alone: npt.NDArray[np.bool_],
    truth: Truth,
    bootstrap: GroupBootstrap,
    *,
    balanced: bool,
) -> Gain:
    """Columns [n, 15]: for each true count photos, right by the model, right by the rule."""
    columns = np.zeros((len(truth.true), len(COUNTS), 3))
    columns[np.arange(len(truth.true)), truth.true] = np.stack([np.ones_like(model), model, alone], axis=1)
    flat = columns.reshape(len(columns), -1)
    right_model, right_alone = means(flat.sum(axis=0), balanced=balanced)
    replicates = means(bootstrap.sums(flat), balanced=balanced)
    found = interval(replicates[..., 0] - replicates[..., 1])
    return Gain(float(right_alone), float(right_model - right_alone), (found.low, found.high))
