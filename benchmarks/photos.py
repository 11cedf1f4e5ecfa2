"""The photos that all servers are asked about: a folder's, or drawn ones of the size that photos of bins have."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.errors import BenchError
from local.sample_photos import draw_photo, random_bin, random_items
from tally.predictor import BadPhoto, Limits, decode

_USUAL_WIDTH, _QUALITY = 477, 90
"""Pixels and JPEG quality of a drawn photo: with these as many pixels and about as many bytes as in the median of the
public data set (477 x 353, 58 KB)."""


def read_photos(folder: Path, wanted: int) -> list[bytes]:
    """`wanted` JPEG files of the folder and those below it, evenly spread over their sorted names.

    BenchError when there are fewer that can be decoded.
    """
    files = sorted(folder.rglob("*.jpg"))
    if len(files) < wanted:
        raise BenchError(
            f"{folder} has {len(files)} *.jpg files, {wanted} are wanted: fewer --photos, or another --data"
        )
    photos = [files[position * len(files) // wanted].read_bytes() for position in range(wanted)]
    for number, photo in enumerate(photos):
        try:
            decode(photo, 32, Limits())
        except BadPhoto as error:
            raise BenchError(f"{files[number * len(files) // wanted]} cannot be counted: {error}") from error
    return photos


def drawn_photos(wanted: int, seed: int = 0) -> list[bytes]:
    """`wanted` drawn bins with 1 to 5 objects, in turn."""
    return [drawn_photo(number, seed) for number in range(wanted)]


def drawn_photo(number: int, seed: int = 0) -> bytes:
    """The drawn bin of this number."""
    return _enlarged(_drawn(number, seed))


def _drawn(number: int, seed: int) -> bytes:
    random = np.random.default_rng([seed, number])
    return draw_photo(random_bin(random), random_items(random, 1 + number % 5), random)


def _enlarged(photo: bytes) -> bytes:
    """At the usual size, with the noise of a camera, without which an enlarged drawing has too few bytes."""
    with Image.open(io.BytesIO(photo)) as image:
        height = round(image.height * _USUAL_WIDTH / image.width)
        large = image.resize((_USUAL_WIDTH, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(len(photo)).normal(0, 6, (height, _USUAL_WIDTH, 1))
    buffer = io.BytesIO()
    pixels = (np.asarray(large) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def sizes(photos: Sequence[bytes]) -> dict[str, int]:
    """Medians: pixels wide and high, bytes."""
    shapes = []
    for photo in photos:
        with Image.open(io.BytesIO(photo)) as image:
            shapes.append((*image.size, len(photo)))
    width, high, length = np.median(shapes, axis=0).astype(int).tolist()
    return {"width": width, "height": high, "bytes": length}
