"""Synthetic bin photos in the layout of the public bucket, for a first run without any data.

    python -m local.sample_data --out build/sample --photos 1000 --seed 7

Like the real ones they come in neighbours: a bin before and after a pick carries neighbouring ids. A few files are
damaged and some 2% of the labels are off by one. One seed gives the same bytes on every run, and more photos of it
begin with the same ones.
"""

import argparse
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from local.sample_photos import Item, draw_photo, random_bin, random_items

# Counts of a bin before and after: as many photos of each count from 1 to 5. A bin of one photo was not picked from.
_VISITS: tuple[tuple[int, ...], ...] = ((2, 1), (3, 2), (4, 3), (5, 4), (1,), (5,))
_DAMAGES = ("truncated", "empty", "text")
_EARLY_DAMAGE = (11, 23, 37)  # so that small samples have one of each, too
_DAMAGE_EVERY = 160
_MISLABEL_EVERY = 50
_WORDS = (("Blue", "Steel", "Travel", "Garden", "Classic"), ("Kettle", "Notebook", "Lamp", "Puzzle", "Bottle", "Cable"))


@dataclass(frozen=True)
class Visit:
    """One bin, photographed once or before and after a pick. `number`: its own random stream; `first`: how many photos
    come before it; `ids`: one for each count."""

    number: int
    first: int
    ids: tuple[int, ...]
    counts: tuple[int, ...]


def generate(out: Path, *, photos: int, seed: int, workers: int | None = None) -> None:
    """Write `photos` photos to `out/bin-images` and their metadata to `out/metadata`.

    The files do not depend on `workers` (default: one a core).
    """
    if photos < 1:
        raise ValueError(f"photos is {photos}; it must be at least 1")
    for folder in ("bin-images", "metadata"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write = partial(_write_visit, out, seed, photos)
    with multiprocessing.get_context("fork").Pool(workers or len(os.sched_getaffinity(0)), _ends_quietly) as pool:
        for _ in pool.imap_unordered(write, _visits(photos, seed), chunksize=16):
            pass


def _visits(photos: int, seed: int) -> Iterator[Visit]:
    """Bins until there are enough photos, with gaps between their ids."""
    random = np.random.default_rng([seed, 0])
    written, next_id, number = 0, 4, 0
    while written < photos:
        for kind in random.permutation(len(_VISITS)):
            number += 1
            counts = _VISITS[kind]
            second = next_id + int(random.choice([1, 1, 1, 2]))
            yield Visit(number, written, (next_id, second)[: len(counts)], counts)
            written += len(counts)
            next_id = second + int(random.integers(2, 14))


def _write_visit(out: Path, seed: int, photos: int, visit: Visit) -> None:
    random = np.random.default_rng([seed, visit.number])
    scene = random_bin(random)
    items = random_items(random, max(visit.counts))
    names = [_product(random) for _ in items]
    for position, (number, count) in enumerate(zip(visit.ids, visit.counts, strict=True)):
        ordinal = visit.first + position
        photo = draw_photo(scene, items[:count], random)
        if ordinal < photos:
            key = f"{number:05d}"
            (out / "bin-images" / f"{key}.jpg").write_bytes(_damaged(photo, ordinal))
            metadata = json.dumps(_metadata(items, names, _recorded(count, ordinal)), indent=4)
            (out / "metadata" / f"{key}.json").write_text(metadata, encoding="utf-8")


def _damaged(photo: bytes, ordinal: int) -> bytes:
    """Return the photo as it is, or broken in one of three ways when its turn has come."""
    if ordinal in _EARLY_DAMAGE:
        damage = _DAMAGES[_EARLY_DAMAGE.index(ordinal)]
    elif ordinal % _DAMAGE_EVERY == _DAMAGE_EVERY - 1:
        damage = _DAMAGES[ordinal // _DAMAGE_EVERY % len(_DAMAGES)]
    else:
        return photo
    return {"truncated": photo[: len(photo) // 2], "empty": b"", "text": b"not a photo: upload failed\n"}[damage]


def _ends_quietly() -> None:
    """A worker ends when it is told to, and leaves Ctrl-C to the process that started it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _recorded(count: int, ordinal: int) -> int:
    """What the warehouse believes: sometimes one more or one less than there is."""
    if ordinal % _MISLABEL_EVERY != _MISLABEL_EVERY - 21:
        return count
    return count + 1 if count == 1 or (count < 5 and ordinal % (2 * _MISLABEL_EVERY) < _MISLABEL_EVERY) else count - 1


def _product(random: np.random.Generator) -> tuple[str, str]:
    """An identifier and a name."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    asin = "B0" + "".join(letters[index] for index in random.integers(len(letters), size=8))
    return asin, " ".join(str(random.choice(words)) for words in _WORDS)


def _metadata(items: Sequence[Item], names: Sequence[tuple[str, str]], quantity: int) -> dict[str, Any]:
    """The public bucket's form; the quantities add up to the recorded one."""
    products: dict[str, Any] = {}
    listed = min(quantity, len(items))
    for number, (item, (asin, name)) in enumerate(zip(items[:listed], names, strict=False)):
        inches = round(item.size / 10, 2)
        products[asin] = {
            "asin": asin,
            "height": {"unit": "IN", "value": inches},
            "length": {"unit": "IN", "value": inches},
            "name": name,
            "normalizedName": name,
            "quantity": 1 + (quantity - listed if number == 0 else 0),
            "weight": {"unit": "pounds", "value": round(item.slim, 2)},
            "width": {"unit": "IN", "value": round(inches * item.slim, 2)},
        }
    return {"BIN_FCSKU_DATA": products, "EXPECTED_QUANTITY": quantity}


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and generate."""
    parser = argparse.ArgumentParser(prog="python -m local.sample_data", description="Draw synthetic bin photos.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write bin-images/ and metadata/ to")
    parser.add_argument("--photos", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same bytes (default 7)")
    options = parser.parse_args(argv)
    for name, least in (("photos", 1), ("seed", 0)):
        if (value := getattr(options, name)) < least:
            parser.error(f"--{name} is {value}; it must be at least {least}")
    try:
        generate(options.out, photos=options.photos, seed=options.seed)
    except OSError as error:
        parser.error(f"--out {options.out} cannot be written: {error}")
    print(f"wrote {options.photos} photos to {options.out}")


if __name__ == "__main__":
    main()
