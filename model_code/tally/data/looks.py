"""What a photo looks like, as numbers: size, brightness, contrast, sharpness, and a hash that survives recompression.

Preprocess measures each photo once, on its stored form, and keeps one row a photo beside the manifest: reports, drift
and the search for near-duplicates need no pixels, and training maps nothing that it does not ask for. A split without
these files (older shards) has photos of unknown looks, never an error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from tally.data.files import replacing
from tally.data.shards import Photo, Split
from tally.errors import TallyError

ROW = np.dtype(
    [
        ("shard", "<u4"),
        ("offset", "<u8"),
        ("rows_hash", "<u8"),
        ("columns_hash", "<u8"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("brightness", "<f4"),
        ("contrast", "<f4"),
        ("blur", "<f4"),
        ("count", "u1"),
    ]
)
"""One photo. `shard` and `offset` are those of its manifest line; a `width` of 0 marks looks that are unknown."""

Rows = npt.NDArray[np.void]

_SIDE = 9
_SHARD = len("shard-")


@dataclass(frozen=True, slots=True)
class Look:
    """Numbers of one photo. `width`, `height`: upright original in pixels; `brightness` and `contrast`: mean and
    standard deviation of the grey values (0-255) of the stored photo; `blur`: see `blur_score`; hashes: see
    `difference_hashes`."""

    width: int
    height: int
    brightness: float
    contrast: float
    blur: float
    rows_hash: int
    columns_hash: int


def look_at(image: Image.Image, original: tuple[int, int]) -> Look:
    """Measure the stored form `image` of a photo whose upright original has the size `original`."""
    grey = image if image.mode == "L" else image.convert("L")
    brightness, contrast = brightness_contrast(grey)
    rows, columns = difference_hashes(grey)
    return Look(*original, brightness, contrast, blur_score(grey), rows, columns)


def brightness_contrast(grey: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation of the grey values, from whole numbers: the same on every machine."""
    mean, variance = _moments(np.asarray(grey))
    return mean, variance**0.5


def blur_score(image: Image.Image) -> float:
    """Variance of the Laplacian of the grey values (0-255): low for a blurred photo.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000. It depends on
    the size of the photo, so compare only photos stored with one side.
    """
    grey = np.asarray(image if image.mode == "L" else image.convert("L"))
    laplacian = np.asarray(cv2.Laplacian(grey, cv2.CV_16S), dtype=np.int16)  # whole numbers from -1020 to 1020
    return _moments(laplacian[1:-1, 1:-1])[1]


def _moments(values: npt.NDArray[np.integer]) -> tuple[float, float]:
    """Mean and variance of `values` [height, width], 0 of none: from sums of whole numbers, which are exact in float64.
    One comes as its root, squared again."""
    if not values.size:
        return 0.0, 0.0
    mean = cv2.sumElems(values)[0] / values.size
    return mean, max(0.0, round(cv2.norm(values, cv2.NORM_L2SQR)) / values.size - mean**2)


def difference_hashes(grey: Image.Image) -> tuple[int, int]:
    """Two 64-bit difference hashes of a grey photo: is each cell of a 9 x 9 grid brighter than its left, its upper one?

    N. Krawetz, "Kind of Like That", hackerfactor.com 2013 (dHash), there of rows alone. Resizing, recompression and
    exposure change a few bits; two different photos agree by chance in about half of them.
    """
    # Without reducing_gap: its whole-numbered first step depends on the size, and a resized copy would differ.
    small = np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    rows = np.packbits(small[:-1, 1:] > small[:-1, :-1])
    columns = np.packbits(small[1:, :-1] > small[:-1, :-1])
    return int.from_bytes(rows.tobytes(), "big"), int.from_bytes(columns.tobytes(), "big")


def look_rows(photos: Sequence[Photo], looks: Sequence[Look]) -> Rows:
    """Rows [n] of photos that were just written, in their order."""
    rows = [
        (
            *(shard_number(photo.shard), photo.offset, look.rows_hash, look.columns_hash),
            *(look.width, look.height, look.brightness, look.contrast, look.blur, photo.count),
        )
        for photo, look in zip(photos, looks, strict=True)
    ]
    return np.array(rows, dtype=ROW)


def shard_number(name: str) -> int:
    """7 for shard-00007.tar."""
    return int(name[_SHARD : name.index(".")])


def looks_name(part: int, parts: int) -> str:
    """The file with the rows of one instance."""
    return f"looks-{part:05d}-of-{parts:05d}.npy"


def write_looks(directory: Path, part: int, parts: int, rows: Iterable[Rows]) -> Rows:
    """Write the rows of all shards of a part, and return them; TallyError when the disk is full."""
    joined = np.concatenate([np.zeros(0, dtype=ROW), *rows])
    with replacing(directory / looks_name(part, parts)) as file:
        np.save(file, joined, allow_pickle=False)
    return joined


def read_looks(split: Split) -> Rows:
    """Rows [n] in the order of `split.photos`; a photo whose looks were never written has a row of zeros.

    Raises:
        TallyError: a looks file is damaged.
    """
    parts = [_read(path) for path in sorted(split.directory.glob("looks-*-of-*.npy"))]
    known = np.concatenate([np.zeros(0, dtype=ROW), *parts])
    found = np.zeros(len(split), dtype=ROW)
    if not len(known):
        return found
    known = known[np.argsort(_places(known["shard"], known["offset"]), kind="stable")]
    have = _places(known["shard"], known["offset"])
    numbers = {name: shard_number(name) for name in {photo.shard for photo in split.photos}}
    want = _places(
        np.array([numbers[photo.shard] for photo in split.photos], dtype=np.uint64),
        np.array([photo.offset for photo in split.photos], dtype=np.uint64),
    )
    at = np.minimum(np.searchsorted(have, want), len(have) - 1)
    matching = have[at] == want
    found[matching] = known[at[matching]]
    return found


def known(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which rows hold looks, [n]."""
    return np.asarray(rows["width"] > 0)


def _places(shards: npt.NDArray[np.integer], offsets: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """One number for shard and offset; a shard has far less than 2^44 bytes."""
    return (shards.astype(np.uint64) << np.uint64(44)) | offsets.astype(np.uint64)


def _read(path: Path) -> Rows:
    try:
        with path.open("rb") as file:
            return load_rows(file, ROW)
    except (OSError, ValueError, EOFError) as error:
        raise TallyError(
            f"{path}: not a file of photos' looks ({error}); copy the split again, or remove the file: the photos' "
            "looks are unknown then"
        ) from error


def load_rows(file: BinaryIO, dtype: "np.dtype[np.void]") -> Rows:
    """Read one array of rows; ValueError when it is none, or of another kind."""
    rows = np.load(file, allow_pickle=False)
    if not isinstance(rows, np.ndarray) or rows.dtype != dtype or rows.ndim != 1:
        raise ValueError(f"expected rows of {', '.join(dtype.names or ())}")
    return rows
