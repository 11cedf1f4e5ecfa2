"""Refuses a comparison in which a model has seen the test photos (docs/adr/0018)."""

from collections.abc import Mapping
from pathlib import Path

from tally.data.shards import Split
from tally.errors import TallyError
from tally.provenance import TRAINED_ON_FILE, TrainedOn

CHECKED, UNKNOWN = "checked", "unknown"
_SHOWN = 3
_REMEDIES = {
    "challenger": "train it on the train and validation folders of the Preprocess run that wrote this test split",
    "baseline": "train it on the train and validation folders of the Preprocess run that wrote this test split",
    "champion": (
        "photos have changed their ids or groups since it was trained: give them back those that they had and run "
        "Preprocess again, or put a version in service that has not seen them"
    ),
}


def check_split(directories: Mapping[str, Path], split: Split) -> tuple[dict[str, str], list[str]]:
    """Return per model CHECKED or UNKNOWN, and warnings; `directories` by "challenger", "champion" and "baseline".

    TallyError when a model was trained on photos of `split` or on others of their groups, and, for challenger and
    baseline, on ids so near that they probably show the same bins. For a champion those are a warning: their
    neighbours may have been deleted since.
    """
    states: dict[str, str] = {}
    warnings: list[str] = []
    for name, directory in directories.items():
        trained_on = TrainedOn.read(directory)
        if trained_on is None:
            states[name] = UNKNOWN
            continue
        states[name] = CHECKED
        found = trained_on.overlap(split)
        near = f"{len(found.near)} of {len(split)} test photos have ids next to ones it was trained on"
        seen = found.same + found.grouped
        if seen:
            raise TallyError(
                f"the {name} was trained on {len(found.same)} of the {len(split)} test photos and on others of the "
                f"groups of {len(found.grouped)} more ({_examples(seen)}): its answers to them mean nothing; "
                f"{_REMEDIES[name]}"
            )
        if found.near and name != "champion":
            raise TallyError(f"the {name}: {near} ({_examples(found.near)}), the same bins; {_REMEDIES[name]}")
        if found.near:
            warnings.append(f"the {name} may know some bins: {near} ({_examples(found.near)})")
    unknown = [name for name, state in states.items() if state == UNKNOWN]
    if unknown:
        warnings.append(
            f"whether these have seen test photos is unknown: {', '.join(unknown)}; they were trained before Tally "
            f"wrote {TRAINED_ON_FILE}"
        )
    return states, warnings


def _examples(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
