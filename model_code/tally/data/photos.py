"""Checks one photo file and brings it into its stored form: upright RGB, long side bounded, JPEG.

The header is read before any pixel is decoded, so a decompression bomb costs nothing.
"""

import contextlib
import hashlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

from tally.damage import DamagedError, check_file
from tally.data.looks import Look, look_at
from tally.data.sources import RejectedError
from tally.letterbox import upright_rgb

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP")
MIN_SIDE = 32
"""Pixels; on anything smaller nobody can count objects."""

MAX_PIXELS = 50_000_000
"""Default limit: the photo of a 48-megapixel phone passes."""

MAX_PIXELS_CEILING = 89_478_485
"""Pillow itself refuses more than this as a decompression bomb."""

QUALITY = 92

_READ_ONCE = 8 * 1024 * 1024
"""Bytes up to which a file is held in memory and read once, instead of once each for hash, scans and pixels."""

_OTHER_FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftyp", "HEIC, AVIF or video"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"8BPS", "PSD"),
    (0, b"%PDF", "PDF"),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A photo that passed. `width`, `height`: stored pixels; `grey`: these; `original`: the upright original's size."""

    jpeg: bytes
    sha256: str
    width: int
    height: int
    grey: Image.Image
    original: tuple[int, int]

    @property
    def look(self) -> Look:
        """Measured when asked for."""
        return look_at(self.grey, self.original)


def check_photo(path: Path, *, stored_side: int, max_pixels: int = MAX_PIXELS) -> Checked:
    """Read, check and shrink the photo at `path` so that its long side is at most `stored_side` pixels.

    Photos are never enlarged. `sha256` is that of the file's bytes. Memory depends on the pixels, at most `max_pixels`,
    and on no more than 8 MiB of the file.

    Raises:
        RejectedError: the photo cannot be used, with one of the codes unreadable, empty_file, not_an_image,
            unsupported_format, too_many_pixels, too_small.
    """
    try:
        with _hashed(path) as (file, sha256):
            image = _open(file, max_pixels)
            check_file(file, image.format)
            original, upright = _decode(image, stored_side)
    except DamagedError as error:
        raise RejectedError("unreadable", str(error)) from error
    except OSError as error:
        raise RejectedError("unreadable", error.strerror or str(error)) from error
    stored = io.BytesIO()
    upright.save(stored, "JPEG", quality=QUALITY)
    return Checked(stored.getvalue(), sha256, *upright.size, upright.convert("L"), original)


@contextlib.contextmanager
def _hashed(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The file's bytes, to be read as often as needed, and their sha256; RejectedError when there are none."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > _READ_ONCE:
            yield file, hashlib.file_digest(file, "sha256").hexdigest()
        elif content := file.read():
            yield io.BytesIO(content), hashlib.sha256(content).hexdigest()
        else:
            raise RejectedError("empty_file", "the file has no bytes")


def _open(file: BinaryIO, max_pixels: int) -> Image.Image:
    """Read the header and judge format and size."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        pixels = next((int(word) for word in re.findall(r"\d+", str(error))), MAX_PIXELS_CEILING)
        raise RejectedError("too_many_pixels", f"{pixels:,} pixels; the limit is {max_pixels:,}") from error
    except UnidentifiedImageError:
        raise _not_ours(file) from None
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's parsers raise whatever the bytes make them trip over: struct.error, SyntaxError, ValueError ...
        raise RejectedError("unreadable", f"broken header: {error}") from error
    width, height = image.size
    if width * height > max_pixels:
        raise RejectedError(
            "too_many_pixels", f"{width} x {height} = {width * height:,} pixels; the limit is {max_pixels:,}"
        )
    if min(width, height) < MIN_SIDE:
        raise RejectedError("too_small", f"{width} x {height} pixels; the short side must be at least {MIN_SIDE}")
    # A JPEG with further pictures in it (MPO: many phones write a preview) is an ordinary photo; an animation is not.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise RejectedError(
            "unsupported_format", f"animated {image.format} with {frames} frames: which one shows the bin?"
        )
    return image


def _not_ours(file: BinaryIO) -> RejectedError:
    file.seek(0)
    head = file.read(16)
    for offset, magic, name in _OTHER_FORMATS:
        if head[offset : offset + len(magic)] == magic:
            return RejectedError("unsupported_format", f"{name}; allowed are JPEG, PNG and WebP")
    return RejectedError("not_an_image", f"begins with {head!r}, which is no JPEG, PNG or WebP")


def _decode(image: Image.Image, stored_side: int) -> tuple[tuple[int, int], Image.Image]:
    """Return the upright original's size and the upright RGB photo, shrunk."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about EXIF and palettes that do not matter here
            stored = image.size
            image.draft(None, fitted(stored, stored_side))
            image.load()  # before the EXIF is read, which for a PNG decodes it too and may hide that it failed
            original = stored[::-1] if _lies_on_its_side(image) else stored
            upright = upright_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        raise RejectedError("unreadable", f"pixels cannot be decoded: {error}") from error
    target = fitted(original, stored_side)
    if target != upright.size:
        upright = upright.resize(target, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return original, upright


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether EXIF asks for a quarter turn. A damaged EXIF block is no reason to lose a photo whose pixels are fine:
    Pillow raises on the first attempt only, and takes what it has from then on."""
    with contextlib.suppress(Exception):
        return image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return False


def fitted(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Width and height scaled so that the longer is `long_side`; unchanged when they fit already."""
    if max(size) <= long_side:
        return size
    factor = long_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
