"""The one way from a photo to the square the network sees."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tally.letterbox import FILL, fitted_size, letterbox, upright_rgb


def test_a_wide_photo_is_centred_between_bars_with_its_aspect_kept() -> None:
    square = np.asarray(letterbox(Image.new("RGB", (200, 100), (10, 200, 30)), 64))
    assert square.shape == (64, 64, 3)
    assert (square[:16] == FILL).all()
    assert (square[48:] == FILL).all()
    assert (square[16:48] == (10, 200, 30)).all()


@pytest.mark.parametrize(
    ("stretch", "inside"), [(1, (64, 32)), (1.5, (64, 48)), (2, (64, 64)), (100, (64, 64))], ids=str
)
def test_stretch_changes_the_ratio_of_the_sides_so_far_and_no_farther(stretch: float, inside: tuple[int, int]) -> None:
    assert fitted_size((200, 100), 64, stretch) == inside
    assert fitted_size((100, 200), 64, stretch) == inside[::-1]
    square = np.asarray(letterbox(Image.new("RGB", (200, 100), (10, 200, 30)), 64, stretch))
    assert (square == (10, 200, 30)).all(2).sum() == inside[0] * inside[1]


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(8, 600), st.floats(1, 100))
def test_a_fitted_photo_fills_one_side_and_is_never_turned(width: int, height: int, side: int, stretch: float) -> None:
    wide, high = fitted_size((width, height), side, stretch)
    assert max(wide, high) == side
    assert min(wide, high) >= 1
    assert (wide >= high) == (width >= height) or wide == high


def test_a_small_photo_is_enlarged() -> None:
    assert (np.asarray(letterbox(Image.new("RGB", (4, 4), (1, 2, 3)), 32)) == (1, 2, 3)).all()


def test_a_photo_of_one_row_keeps_a_pixel() -> None:
    square = np.asarray(letterbox(Image.new("RGB", (1000, 1), (9, 9, 9)), 16))
    assert (square != FILL).any(axis=2).sum() == 16


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_dropped(orientation: int) -> None:
    # The upright photo is dark above and light below.
    upright = Image.new("RGB", (64, 64), (20, 20, 20))
    upright.paste((220, 220, 220), (0, 32, 64, 64))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "JPEG", exif=exif, quality=95)
    seen = upright_rgb(Image.open(file))
    pixels = np.asarray(letterbox(Image.open(file), 64)).astype(int)
    assert pixels[8].mean() < 60
    assert pixels[56].mean() > 180
    assert seen.getexif().get(0x0112, 1) == 1


def test_sixteen_bit_grey_keeps_its_upper_byte_instead_of_turning_white() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    seen = np.asarray(upright_rgb(Image.fromarray(np.tile(ramp, (4, 1)))))
    assert np.abs(seen[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_transparent_pixels_show_the_bars_colour_not_what_hides_below() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (np.asarray(upright_rgb(image)) == FILL).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "YCbCr", "1", "RGBA", "I;16", "I", "F"])
def test_every_mode_of_a_file_becomes_rgb(mode: str) -> None:
    assert letterbox(Image.new(mode, (10, 20)), 16).mode == "RGB"


def test_decoding_a_large_jpeg_at_a_fraction_changes_next_to_nothing() -> None:
    generator = np.random.default_rng(0)
    smooth = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((1600, 1200))
    file = io.BytesIO()
    smooth.save(file, "JPEG", quality=90)
    drafted = np.asarray(letterbox(Image.open(file), 224)).astype(int)
    whole = Image.open(file)
    whole.load()
    full = np.asarray(letterbox(whole, 224)).astype(int)
    assert np.abs(drafted - full).mean() < 0.5


def test_a_size_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="letterbox size is 0"):
        letterbox(Image.new("RGB", (4, 4)), 0)
    with pytest.raises(ValueError, match=r"letterbox stretch is 0.5"):
        letterbox(Image.new("RGB", (4, 4)), 8, 0.5)
