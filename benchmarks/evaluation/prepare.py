"""Writes a test split and a model to score on it. Prints where, as JSON.

PYTHONPATH=model_code python -m benchmarks.evaluation.prepare --folder FOLDER --models MODELS --backbone mobilenet_v2
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photos, read_photos
from benchmarks.serving.artifact import make_artifact
from benchmarks.training.prepare import SHARDS, write
from tally.errors import TallyError


def main() -> int:
    """The command: 1 after a line that says what is wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.evaluation.prepare", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="for photos")
    parser.add_argument("--models", required=True, type=Path, help="folder of models, where this one may be already")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=500)
    options = parser.parse_args()
    try:
        photos = read_photos(options.data, options.photos) if options.data else drawn_photos(options.photos)
        write(options.folder, photos, options.image_size)
        model = make_artifact(options.models, photos, options.backbone, options.image_size, None) / "model"
    except (BenchError, TallyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"split": str(options.folder / SHARDS), "model": str(model)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
