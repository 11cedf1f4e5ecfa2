"""From any photo to the square the network sees: upright, RGB, whole, aspect kept.

Training, evaluation and the endpoint all call `letterbox`; it is the only place where it happens. Needs Pillow only.
"""

import contextlib

from PIL import ExifTags, Image, ImageOps

FILL: tuple[int, int, int] = (124, 116, 104)
"""Colour of the bars, RGB: ImageNet's mean, so that they are near zero after normalisation."""

PREPROCESSING = {"fit": "letterbox", "fill": list(FILL), "resample": "bilinear"}
"""What model.json says about it; a model's `stretch` stands beside."""

_DRAFT_GAP = 2
"""A JPEG is decoded at a fraction of its size only while that leaves this many times the pixels wanted a side."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """Return the first frame as 8-bit RGB with its EXIF orientation applied.

    16-bit grey keeps its upper byte (Pillow's own conversion would clip it to white); transparent pixels show FILL,
    "nothing here", instead of whatever colour hides below them. Raises what Pillow raises when the pixels cannot be
    decoded.
    """
    image.load()  # here: reading the EXIF of a PNG decodes it too, and what goes wrong must not be suppressed
    with contextlib.suppress(Exception):
        image.getexif()  # of a damaged EXIF block Pillow complains on the first reading only; the pixels may be sound
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = image.point(lambda value: value * (1 / 257) + 0).convert("L")
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, (*FILL, 255))
        image = Image.alpha_composite(below, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def letterbox(image: Image.Image, size: int, stretch: float = 1.0) -> Image.Image:
    """Fit `image` whole into a `size` x `size` RGB square, centred on FILL; small photos are enlarged.

    `stretch` is how far the ratio of the sides may be changed towards 1 before bars fill the rest: 1 keeps it, 1.3 lets
    a photo of 4:3 fill the square almost, a very large one squashes every photo to the square.

    A JPEG that was opened but not loaded yet is decoded at 1/2, 1/4 or 1/8 of its size where that is still at least
    twice the target. Raises what Pillow raises (OSError and others) when the pixels cannot be decoded.
    """
    if size < 1:
        raise ValueError(f"letterbox size is {size}; it must be at least 1 pixel")
    if max(image.size) > _DRAFT_GAP * size:
        image.draft(None, fitted_size(image.size, _DRAFT_GAP * size, stretch))
    image = upright_rgb(image)
    width, height = fitted_size(image.size, size, stretch)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    if width == height == size:
        return image
    square = Image.new("RGB", (size, size), FILL)
    square.paste(image, ((size - width) // 2, (size - height) // 2))
    return square


def fitted_size(stored: tuple[int, int], side: int, stretch: float = 1.0) -> tuple[int, int]:
    """Width and height, pixels, of a photo of `stored` pixels inside a square of `side` pixels; see `letterbox`."""
    if not stretch >= 1:
        raise ValueError(f"letterbox stretch is {stretch}; it must be at least 1, which keeps the ratio of the sides")
    longest = max(stored)
    width, height = (side if pixels * stretch >= longest else pixels * stretch * side / longest for pixels in stored)
    return max(1, round(width)), max(1, round(height))
