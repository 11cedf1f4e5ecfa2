"""Writes the photos and the model that all servers of a run get. Prints where, as JSON.

    PYTHONPATH=model_code python -m benchmarks.serving.prepare --folder FOLDER --models MODELS --backbone mobilenet_v2

A process of its own: torch and ONNX Runtime, mapped by whoever measures, would be counted as shared with our server.
"""

import hashlib
import json
import sys
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.photos import drawn_photos, read_photos, sizes
from benchmarks.serving.artifact import make_artifact
from tally.errors import TallyError


def main() -> int:
    """The command: 1 after a line that says what is wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.serving.prepare", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="for photos")
    parser.add_argument("--models", required=True, type=Path, help="folder of models, where this one may be already")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=500)
    options = parser.parse_args()
    try:
        content = read_photos(options.data, options.photos) if options.data else drawn_photos(options.photos)
        # Named after what is in it: nothing that lies there already is ever deleted.
        photos = options.folder / f"photos-{hashlib.sha256(b''.join(content)).hexdigest()[:12]}"
        photos.mkdir(parents=True, exist_ok=True)
        for number, photo in enumerate(content):
            (photos / f"{number:05d}.jpg").write_bytes(photo)
        artifact = make_artifact(options.models, content, options.backbone, options.image_size, options.weights)
    except (BenchError, TallyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"photos": str(photos), "artifact": str(artifact), "sizes": sizes(content)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
