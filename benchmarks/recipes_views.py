"""The same prepared photos seen otherwise: with labels permuted, only a share of them, or divided for development.

Labels are permuted after Preprocess has decided which photos are used and on which side each lies: it looks at labels
when identical files disagree, so permuted before, other photos would be set aside than in the run that the control is
for. The test split is the same files, true labels included.

Shards are linked as they are; manifests and part files, which say what is in a split, are written anew. The copies of
the labels that lie in the tars beside the photos are read by nobody.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recipes_jobs import SPLITS, Splits
from local.files import digest, write_json
from local.jobs.tree import link_or_copy
from tally.data.grouping import REACH, parse_id

Photo = dict[str, Any]  # a line of a manifest
Contents = dict[str, tuple[str, list[Photo]]]  # split -> the split whose shards hold its photos, and the photos

DEVELOPMENT_SHARE = 0.125  # of the train split, to choose epochs and calibration on while validation is judged


def shuffled_labels(splits: Splits, folder: Path, seed: int) -> Splits:
    """Permute the labels within train and within validation: as many photos of each count, none tied to its photo."""

    def contents() -> Contents:
        found: Contents = {"test": ("test", splits.photos("test"))}
        for split in ("train", "validation"):
            photos = splits.photos(split)
            counts = [photo["count"] for photo in photos]
            random.Random(f"{seed}/{split}").shuffle(counts)
            permuted = [{**photo, "count": count} for photo, count in zip(photos, counts, strict=True)]
            found[split] = split, permuted
        return found

    return _view(splits, folder, ("shuffled", seed), contents)


def share_of_groups(splits: Splits, folder: Path, share: float, seed: int) -> Splits:
    """Keep whole groups of the train split until they hold `share` of its photos.

    Groups come in an order that `seed` alone decides, so a smaller share lies within every larger one.
    """

    def contents() -> Contents:
        kept = _first_groups(splits.photos("train"), share, str(seed))
        return {**_as_they_are(splits), "train": ("train", kept)}

    return splits if share == 1 else _view(splits, folder, ("share", share, seed), contents)


def for_development(splits: Splits, folder: Path) -> Splits:
    """Judge on the validation split: `test` of the result. Epochs and calibration are chosen on a part of train.

    Photos that may show the same bin as one of that part are left out of train.
    """

    def contents() -> Contents:
        train = splits.photos("train")
        chosen = _first_groups(train, DEVELOPMENT_SHARE, "development")
        near = {place for photo in chosen for place in _neighbours(str(photo["id"]))}
        groups = {photo["group"] for photo in chosen}
        kept = [photo for photo in train if photo["group"] not in groups and _place(str(photo["id"])) not in near]
        return {
            "train": ("train", kept),
            "validation": ("train", chosen),
            "test": ("validation", splits.photos("validation")),
        }

    return _view(splits, folder, ("development",), contents)


def _as_they_are(splits: Splits) -> Contents:
    return {name: (name, splits.photos(name)) for name in SPLITS}


def _first_groups(photos: Sequence[Photo], share: float, order: str) -> list[Photo]:
    """Photos of as many groups as come nearest to `share` of the photos; at least one group."""
    sizes = Counter(str(photo["group"]) for photo in photos)
    kept: set[str] = set()
    room = share * len(photos)
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{order}/{name}".encode()).hexdigest()):
        if kept and room < sizes[group] / 2:
            break
        kept.add(group)
        room -= sizes[group]
    return [photo for photo in photos if photo["group"] in kept]


def _place(photo_id: str) -> tuple[str, int]:
    return parse_id(photo_id) or (photo_id, -REACH)


def _neighbours(photo_id: str) -> list[tuple[str, int]]:
    prefix, number = _place(photo_id)
    return [(prefix, number + step) for step in range(-REACH, REACH + 1)]


def _view(splits: Splits, folder: Path, what: tuple[object, ...], contents: Callable[[], Contents]) -> Splits:
    key = digest([splits.key, *what])[:16]
    target = folder / f"photos-{what[0]}-{key}"
    if not target.is_dir():
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for split, (source, photos) in contents().items():
            _rewrite(splits.folder / source, partial / split, photos)
        partial.rename(target)
    return Splits(target, key)


def _rewrite(source: Path, target: Path, photos: Sequence[Photo]) -> None:
    """Write a split of those photos in the shards of `source` that `photos` says, with what it says of them."""
    wanted = {photo["id"]: photo for photo in photos}
    for part_file in sorted(source.glob("part-*.json")):
        part = json.loads(part_file.read_text("utf-8"))
        manifest = part_file.name.replace("part-", "manifest-").replace(".json", ".jsonl")
        lines = [json.loads(line) for line in (source / manifest).read_text("utf-8").splitlines()]
        kept = [wanted[line["id"]] for line in lines if line["id"] in wanted]
        held = Counter(photo["shard"] for photo in kept)
        shards = [{**shard, "photos": held[shard["name"]]} for shard in part["shards"] if held[shard["name"]]]
        for shard in shards:
            link_or_copy(source / shard["name"], target / shard["name"])
        target.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(photo, sort_keys=True) + "\n" for photo in kept)
        (target / manifest).write_text(text, "utf-8")
        write_json(target / part_file.name, {**part, "split": target.name, "photos": len(kept), "shards": shards})
