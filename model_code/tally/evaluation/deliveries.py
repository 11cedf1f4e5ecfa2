"""What the evaluation says about the photos: did the new delivery drift, and do test photos only look new?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.data.alike import FLAT
from tally.data.delivery import DATA_FILE, Delivery, split_profile
from tally.data.looks import Rows, known, read_looks
from tally.data.near_duplicates import find_near_pairs
from tally.data.shards import Photo, Split
from tally.evaluation.drift import Comparison, compare, summary

_LISTED = 100
"""Test photos that look like training photos: so many are in evaluation.json."""


@dataclass(frozen=True)
class Lookalike:
    """Photo number `index` of the test split, and a photo that the challenger was trained on which looks the same.

    `content`: fingerprint of the training photo, the end of its sha256 in the manifest; `distance`: bits of 128.
    """

    index: int
    photo: Photo
    content: int
    count: int
    split: str
    distance: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for evaluation.json."""
        return {
            "id": self.photo.id,
            "count": self.photo.count,
            "trained_on": f"{self.content:016x}",
            "trained_on_count": self.count,
            "trained_on_split": self.split,
            "distance": self.distance,
        }


@dataclass(frozen=True)
class Drift:
    """Comparisons by name. `new` and `gone`: train photos since the champion, None where that is unknown.

    `notes`: what could not be found out, and why; `lookalikes` is None when the photos' looks are unknown.
    """

    comparisons: Mapping[str, Comparison]
    new: int | None
    gone: int | None
    lookalikes: tuple[Lookalike, ...] | None
    notes: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """Sentences for people who read the verdict."""
        found = summary(self.comparisons)
        if self.lookalikes:
            found.append(
                f"{len(self.lookalikes)} test photos look the same as photos that the challenger was trained on: its "
                "accuracy may be flattered; see drift.html, and give such photos the same group"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """The `drift` section of evaluation.json."""
        alike = self.lookalikes
        return {
            "new_photos": self.new,
            "gone_photos": self.gone,
            "comparisons": [comparison.as_dict() for comparison in self.comparisons.values()],
            "test_photos_like_trained_ones": None if alike is None else len(alike),
            "lookalikes": [found.as_dict() for found in (alike or ())[:_LISTED]],
            "notes": list(self.notes),
        }


def compare_deliveries(
    directories: Mapping[str, Path], split: Split, champion_name: str, *, in_service: bool = True
) -> Drift:
    """Compare what `directories["champion"]` and `["challenger"]` were trained on, and the test `split`.

    A champion that is not `in_service` is a baseline, trained on this very delivery: nothing is compared with it.
    TallyError when what a model keeps of its photos is damaged.
    """
    new = Delivery.read(directories["challenger"])
    old = Delivery.read(directories["champion"]) if in_service else None
    notes = [] if in_service else ["no model is in service yet: there is nothing to compare this delivery with"]
    for name, delivery in (("champion", old), ("challenger", new)):
        if delivery is None and (in_service or name == "challenger"):
            notes.append(
                f"the {name} keeps no profile of its photos (no {DATA_FILE}; an older version of Tally trained it): "
                "drift against it is unknown"
            )
        elif delivery and delivery.profiles["train"].worth is None:
            notes.append(
                f"the {name} does not keep the groups of its photos (an older version of Tally trained it): they are "
                "taken as independent, so chance may look like drift"
            )
    comparisons: dict[str, Comparison] = {}
    fresh = gone = None
    if old and new:
        title = f"What {champion_name} was trained on, and this delivery"
        comparisons["delivery"] = compare("delivery", title, old.profiles["train"], new.profiles["train"])
        added = new.without(old.rows["content"])
        fresh = added.photos
        gone = int((~np.isin(old.rows["content"][old.rows["train"]], new.rows["content"])).sum())
        if 0 < fresh < new.profiles["train"].photos:
            title = f"What {champion_name} was trained on, and the photos that are new since"
            comparisons["new_photos"] = compare("new_photos", title, old.profiles["train"], added)
    looks = read_looks(split)
    if new:
        title = "This delivery's train split and the test split"
        comparisons["test"] = compare("test", title, new.profiles["train"], split_profile(split, looks))
    lookalikes, left_out = _lookalikes(new, split, looks)
    return Drift(comparisons, fresh, gone, lookalikes, (*notes, *left_out))


def _lookalikes(
    delivery: Delivery | None, split: Split, looks: Rows
) -> tuple[tuple[Lookalike, ...] | None, Sequence[str]]:
    """Test photos with the looks of a training photo, each once, with the nearest of those that were compared; and
    what was not compared, in words. None when looks are unknown."""
    if delivery is None or not known(looks).any() or not known(delivery.rows[delivery.rows["train"]]).any():
        return None, ()
    trained = np.flatnonzero(delivery.rows["contrast"] >= FLAT)
    asked = np.flatnonzero(looks["contrast"] >= FLAT)
    hashes = [
        np.concatenate([delivery.rows[name][trained], looks[name][asked]]) for name in ("rows_hash", "columns_hash")
    ]
    near = find_near_pairs(hashes[0], hashes[1])
    left_out = []
    if len(asked) < len(looks):
        left_out.append(
            f"{len(looks) - len(asked)} test photos could not be compared with the training photos (too flat, or "
            "prepared by a version of Tally that did not measure their looks): look-alikes may be missing"
        )
    if not near.complete:
        left_out.append("too many photos look the same to find all of them: look-alikes may be missing")
    crossing = np.flatnonzero((near.first < len(trained)) & (near.second >= len(trained)))
    found: dict[int, Lookalike] = {}
    for pair in crossing[np.argsort(near.distance[crossing], kind="stable")].tolist():
        row = delivery.rows[trained[near.first[pair]]]
        index = int(asked[near.second[pair] - len(trained)])
        side = "train" if row["train"] else "validation"
        alike = Lookalike(
            index, split.photos[index], int(row["content"]), int(row["count"]), side, int(near.distance[pair])
        )
        found.setdefault(index, alike)
    return tuple(found[index] for index in sorted(found)), left_out
