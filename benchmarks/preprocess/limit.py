"""How fast photos can be decoded, shrunk and encoded at most: by the job's own calls, and nothing else. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.preprocess.limit --folder FOLDER

A process a CPU; the time runs from when all have started to when the last photo is done. Nothing is checked, hashed,
measured or written.
"""

import io
import json
import multiprocessing
import os
import sys
import time
from argparse import ArgumentParser
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.preprocess.prepare import PHOTOS
from tally.data.photos import FORMATS, QUALITY, fitted
from tally.data.preprocess import PreprocessSettings

_CHUNK = 8


def shrink(side: int, file: Path) -> bytes:
    """Decode at a reduced scale, resize and encode as Preprocess does; the stored form."""
    with Image.open(file, formats=FORMATS) as photo:
        target = fitted(photo.size, side)
        photo.draft(None, target)
        photo.load()
        small = photo.resize(target, Image.Resampling.BICUBIC, reducing_gap=3.0) if target != photo.size else photo
        stored = io.BytesIO()
        small.save(stored, "JPEG", quality=QUALITY)
    return stored.getvalue()


def _bytes(side: int, file: Path) -> int:
    return len(shrink(side, file))


def photos_per_second(folder: Path, side: int, processes: int) -> float:
    """Over all photos of the folder, once."""
    files = sorted((folder / PHOTOS).iterdir())
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(processes + 1)
    with context.Pool(processes, ready.wait) as pool:
        ready.wait()
        began = time.perf_counter()
        for _ in pool.imap_unordered(partial(_bytes, side), files, chunksize=_CHUNK):
            pass
        return len(files) / (time.perf_counter() - began)


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.preprocess.limit", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.preprocess.prepare makes it")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    side = PreprocessSettings(image_size=options.image_size).stored_side
    print(json.dumps({"photos_per_second": photos_per_second(options.folder, side, options.processes)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
