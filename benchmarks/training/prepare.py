"""Writes the photos twice: as they come, in a folder a count, and as Preprocess stores them. Prints where, as JSON.

PYTHONPATH=model_code python -m benchmarks.training.prepare --folder FOLDER --photos 1000 --image-size 160
"""

import hashlib
import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photos, read_photos, sizes
from tally.data.photos import check_photo
from tally.data.preprocess import PreprocessSettings
from tally.data.shard_writer import Prepared, write_split
from tally.errors import TallyError
from tally.labels import COUNTS

ORIGINALS, SHARDS, VALIDATION = "originals", "shards", "validation"


def write(folder: Path, photos: Sequence[bytes], image_size: int) -> None:
    """Make `folder`: ORIGINALS/<count>/<number>.jpg, and one split each below SHARDS and VALIDATION."""
    stored_side = PreprocessSettings(image_size=image_size).stored_side
    prepared = []
    for number, photo in enumerate(photos):
        count = COUNTS[number % len(COUNTS)]  # speed does not depend on what is right
        file = folder / ORIGINALS / str(count) / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo)
        checked = check_photo(file, stored_side=stored_side)
        prepared.append(
            Prepared(
                file.stem, count, f"bench:{number}", "", checked.sha256, checked.width, checked.height, checked.jpeg
            )
        )
    for name, some in ((SHARDS, prepared), (VALIDATION, prepared[: 10 * len(COUNTS)])):
        (folder / name).mkdir(exist_ok=True)
        write_split(folder / name, some, split=name, stored_side=stored_side)


def main() -> int:
    """The command: 1 after a line that says what is wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.training.prepare", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=160)
    options = parser.parse_args()
    try:
        photos = read_photos(options.data, options.photos) if options.data else drawn_photos(options.photos)
        # Named after what is in it: nothing that lies there already is ever deleted.
        digest = hashlib.sha256(b"".join(photos)).hexdigest()[:12]
        folder = options.folder / f"{digest}-{options.image_size}"
        write(folder, photos, options.image_size)
    except (BenchError, TallyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"folder": str(folder), "sizes": sizes(photos)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
