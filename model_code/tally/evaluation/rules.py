"""Baselines that look at no pixel: one count for all photos, or one count a source.

They learn from the train split as the model did: training leaves the counts of every source in model.json. Where it
has none they learn from the test split itself, each photo from the other groups, so that none tells its own count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.evaluation.scoring import Truth
from tally.labels import COUNTS

Indices = npt.NDArray[np.int64]
_TRAIN, _TEST = "the train split", "the test split without the photo's own group"


@dataclass(frozen=True)
class Rules:
    """Class indices [n] that each rule answers; `basis` says in words what they were learnt from.

    `source` answers the commonest count of the photo's source. `balanced_source` answers the count that is commonest
    there in relation to all photos: the best that the source alone can do where every count weighs the same.
    """

    basis: str
    majority: Indices
    median: Indices
    source: Indices
    balanced_source: Indices


def learn(description: Mapping[str, Any], sources: Sequence[str], truth: Truth) -> Rules:
    """Learn from `counts_by_source` of a model's description, or from the test split; `sources` [n] of its photos."""
    names, source = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    table = _trained(description.get("counts_by_source"), names.tolist())
    if table is None:
        by_photo = _others(source, len(names), truth)
        return _rules(_TEST, *by_photo)
    totals, by_source = table
    return _rules(_TRAIN, np.broadcast_to(totals, (len(source), len(COUNTS))), by_source[source])


def _trained(counts: Any, names: list[str]) -> tuple[Indices, Indices] | None:
    """Totals [5], and the rows [sources, 5] of `names`, 0 for a source unknown to training; None without counts."""
    if not isinstance(counts, dict) or not all(_is_row(row) for row in counts.values()):
        return None
    totals = np.array(list(counts.values()), dtype=np.int64).reshape(-1, len(COUNTS)).sum(axis=0)
    if not totals.any():
        return None
    return totals, np.array([counts.get(name, [0] * len(COUNTS)) for name in names], dtype=np.int64)


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == len(COUNTS) and all(type(v) is int and 0 <= v < 2**40 for v in row)


def _others(source: Indices, sources: int, truth: Truth) -> tuple[Indices, Indices]:
    """For every photo the counts of the photos in other groups: of all, and of its source; both [n, 5]."""
    one = np.eye(len(COUNTS), dtype=np.int64)[truth.true]
    groups = truth.group_numbers
    by_source = np.zeros((sources, len(COUNTS)), dtype=np.int64)
    by_group = np.zeros((int(groups.max()) + 1, len(COUNTS)), dtype=np.int64)
    np.add.at(by_source, source, one)
    np.add.at(by_group, groups, one)
    both, number = np.unique(np.stack([source, groups], axis=1), axis=0, return_inverse=True)
    by_both = np.zeros((len(both), len(COUNTS)), dtype=np.int64)
    np.add.at(by_both, number, one)
    return one.sum(axis=0) - by_group[groups], by_source[source] - by_both[number]


def _rules(basis: str, totals: Indices, own: Indices) -> Rules:
    """`totals` and the source's `own` counts, both [n, 5]; of equally common counts the lower one."""
    majority = totals.argmax(axis=1)
    known = own.any(axis=1)
    relative = own / np.maximum(totals, 1)
    half = totals.sum(axis=1, keepdims=True) / 2
    return Rules(
        basis=basis,
        majority=majority,
        median=(totals.cumsum(axis=1) >= half).argmax(axis=1),
        source=np.where(known, own.argmax(axis=1), majority),
        balanced_source=np.where(known, relative.argmax(axis=1), majority),
    )
