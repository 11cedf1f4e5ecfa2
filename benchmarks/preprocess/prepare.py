"""Writes photos in the layout of the public bucket, and folders with the first of them. Prints where, as JSON.

PYTHONPATH=model_code python -m benchmarks.preprocess.prepare --folder FOLDER --numbers 500 5000

Ids are the middles of blocks: none is set aside as a neighbour of another side, so the job prepares every photo.
"""

import hashlib
import json
import multiprocessing
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photo, read_photos, sizes
from tally.data.grouping import BLOCK
from tally.labels import COUNTS

PHOTOS, METADATA = "bin-images", "metadata"
_LOOKED_AT = 100  # photos of which the size is told


def draw(folder: Path, photos: int) -> Path:
    """Write that many drawn photos, on all CPUs; those that lie there already are the same."""
    source = folder / "drawn"
    _make(source)
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.imap_unordered(partial(_draw, source), range(photos), chunksize=16):
            pass
    return source


def take(folder: Path, data: Path, photos: int) -> Path:
    """Write that many of the JPEG files of `data`; BenchError when there are fewer."""
    found = read_photos(data, photos)
    # Named after what is in it: nothing that lies there already is ever deleted.
    source = folder / hashlib.sha256(b"".join(found)).hexdigest()[:12]
    _make(source)
    for number, photo in enumerate(found):
        _write(source, number, photo)
    return source


def first(source: Path, photos: int) -> Path:
    """A folder with the first `photos` of a folder that `draw` or `take` wrote, and no other."""
    part = source.with_name(f"{source.name}-{photos}")
    _make(part)
    for number in range(photos):
        for kind, suffix in ((PHOTOS, "jpg"), (METADATA, "json")):
            link = part / kind / f"{_id(number)}.{suffix}"
            if not link.exists():
                os.link(source / kind / link.name, link)
    return part


def _make(source: Path) -> None:
    for kind in (PHOTOS, METADATA):
        (source / kind).mkdir(parents=True, exist_ok=True)


def _draw(source: Path, number: int) -> None:
    if not (source / METADATA / f"{_id(number)}.json").exists():
        _write(source, number, drawn_photo(number))


def _write(source: Path, number: int, photo: bytes) -> None:
    """The metadata last: where they are, the photo is whole."""
    (source / PHOTOS / f"{_id(number)}.jpg").write_bytes(photo)
    label = json.dumps({"EXPECTED_QUANTITY": COUNTS[number % len(COUNTS)]})  # speed does not depend on what is right
    (source / METADATA / f"{_id(number)}.json").write_text(label, encoding="utf-8")


def _id(number: int) -> str:
    return f"{BLOCK * number + BLOCK // 2:07d}"


def _sizes(source: Path, numbers: Sequence[int]) -> dict[str, int]:
    some = range(0, max(numbers), max(1, max(numbers) // _LOOKED_AT))
    return sizes([(source / PHOTOS / f"{_id(number)}.jpg").read_bytes() for number in some])


def main() -> int:
    """The command: 1 after a line that says what is wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.preprocess.prepare", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--numbers", required=True, type=int, nargs="+", help="a folder for each")
    options = parser.parse_args()
    try:
        most = max(options.numbers)
        source = take(options.folder, options.data, most) if options.data else draw(options.folder, most)
        folders = {number: str(first(source, number)) for number in options.numbers}
        print(json.dumps({"folders": folders, "sizes": _sizes(source, options.numbers)}))
    except (BenchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
