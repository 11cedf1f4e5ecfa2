"""A raw prefix to fill with good and bad photos, and a way to run the real job on it."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from tally.data.preprocess import main
from tally.data.shards import Split
from tally.paths import MlPaths

# A busy machine is no reason to fail, and a failure must come again.
settings.register_profile("tally", deadline=None, derandomize=True)
settings.load_profile("tally")

CENTRES = tuple(f"{20 * block + 10:05d}" for block in range(40))
"""One id in the middle of each of 40 blocks: all splits get some, none is a neighbour of another."""


def encode(seed: int = 0, size: tuple[int, int] = (64, 48), form: str = "JPEG", **options: Any) -> bytes:
    """A photo of coloured patches, different for each seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(patches).resize(size, Image.Resampling.NEAREST).save(stream, form, **options)
    return stream.getvalue()


@dataclass(frozen=True)
class Raw:
    """A prefix in the layout of the public bucket."""

    root: Path

    def add(self, key: str, count: Any = 1, photo: bytes | None = None, metadata: bytes | None = None) -> None:
        """Add a photo with its metadata; `key` is the id, or a file name with another suffix than .jpg."""
        name = key if "." in key else f"{key}.jpg"
        content = encode(int.from_bytes(name.encode(), "big")) if photo is None else photo
        self._write(f"bin-images/{name}", content)
        self._write(
            f"metadata/{Path(name).stem}.json",
            json.dumps({"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": count}).encode() if metadata is None else metadata,
        )

    def _write(self, name: str, content: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(content)


@dataclass(frozen=True)
class Outcome:
    """What one run of the job left behind."""

    paths: MlPaths

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.paths.processing_output("report") / "report.json").read_text())
        return report

    def split(self, side: str) -> Split:
        return Split.open(self.paths.processing_output(side))

    def sides(self) -> dict[str, str]:
        """The side of every photo that is used."""
        return {photo.id: side for side in ("train", "validation", "test") for photo in self.split(side).photos}

    def shards(self) -> dict[str, bytes]:
        """All tar shards of all splits."""
        output = self.paths.processing_output("x").parent
        return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*.tar"))}

    def quarantined(self) -> dict[str, tuple[str, str]]:
        """File -> reason and detail."""
        return {item["file"]: (item["reason"], item["detail"]) for item in self.report["quarantined"]}


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    """A prefix with 40 good photos of all counts."""
    raw = Raw(tmp_path / "raw")
    for position, key in enumerate(CENTRES):
        raw.add(key, position % 5 + 1)
    return raw


Prepare = Callable[..., Outcome]
Encode = Callable[..., bytes]


@pytest.fixture(name="encode")
def encode_fixture() -> Encode:
    """`encode(seed, size, form, **options)`: a small photo."""
    return encode


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Run the job on a folder, as one of `hosts` instances; `into` names a tree of its own for another run."""

    def run(source: Path, *argv: str, into: str = "ml", hosts: int = 1) -> Outcome:
        paths = MlPaths(tmp_path / into)
        photos = paths.processing_input("photos")
        if not photos.exists():
            photos.parent.mkdir(parents=True, exist_ok=True)
            photos.symlink_to(source)
        names = [f"algo-{number + 1}" for number in range(hosts)]
        for name in names:
            paths.processing_config.mkdir(parents=True, exist_ok=True)
            config = json.dumps({"current_host": name, "hosts": names})
            (paths.processing_config / "resourceconfig.json").write_text(config)
            main(["--image-size", "32", "--workers", "2", *argv], paths)
        return Outcome(paths)

    return run
