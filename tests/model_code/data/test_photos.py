"""One photo at a time: what passes, in which form, and why the others do not."""

import contextlib
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tally.data import photos
from tally.data.looks import blur_score
from tally.data.photos import check_photo, fitted
from tally.data.sources import RejectedError
from tests.shared import shared_dir

Encode = Callable[..., bytes]
SIDE = 40


def stored(path: Path) -> Image.Image:
    checked = check_photo(path, stored_side=SIDE)
    image = Image.open(io.BytesIO(checked.jpeg))
    image.load()
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert image.size == (checked.width, checked.height)
    return image


def rejection(path: Path, **options: int) -> tuple[str, str]:
    with pytest.raises(RejectedError) as caught:
        check_photo(path, stored_side=SIDE, **options)
    return caught.value.reason, caught.value.detail


def save(path: Path, image: Image.Image, form: str, **options: object) -> Path:
    image.save(path, form, **options)
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_allowed_format_is_stored_as_jpeg_with_its_aspect_kept(tmp_path: Path, encode: Encode, form: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(encode(1, (120, 60), form))
    assert stored(path).size == (40, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_file_too_large_to_be_held_gives_the_same(
    tmp_path: Path, encode: Encode, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo"
    path.write_bytes(encode(1, (120, 60), form))
    held = check_photo(path, stored_side=SIDE)
    monkeypatch.setattr(photos, "_READ_ONCE", 100)
    assert check_photo(path, stored_side=SIDE) == held
    assert held.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_small_photo_is_not_enlarged(tmp_path: Path, encode: Encode) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(1, (36, 33)))
    assert stored(path).size == (36, 33)


def test_truncated_photos_are_unreadable(tmp_path: Path, encode: Encode) -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        path = tmp_path / form
        whole = encode(1, (200, 150), form)
        path.write_bytes(whole[: len(whole) // 2])
        assert rejection(path)[0] == "unreadable"


def test_a_header_without_a_body_is_unreadable(tmp_path: Path, encode: Encode) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(1)[:10])
    assert rejection(path)[0] == "unreadable"


def test_a_zero_byte_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.touch()
    assert rejection(path) == ("empty_file", "the file has no bytes")


def test_text_named_jpg_is_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("<html>403 Forbidden</html>")
    reason, detail = rejection(path)
    assert reason == "not_an_image"
    assert "<html>" in detail


def test_a_hundred_megapixel_png_is_refused_by_its_header(tmp_path: Path) -> None:
    path = save(tmp_path / "bomb.png", Image.new("1", (10_000, 10_000)), "PNG")
    assert rejection(path) == ("too_many_pixels", "100,000,000 pixels; the limit is 50,000,000")


def test_the_pixel_limit_can_be_lowered(tmp_path: Path, encode: Encode) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(1, (200, 150)))
    assert rejection(path, max_pixels=20_000) == ("too_many_pixels", "200 x 150 = 30,000 pixels; the limit is 20,000")


def test_a_tiny_photo_is_too_small(tmp_path: Path, encode: Encode) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(1, (400, 31)))
    assert rejection(path) == ("too_small", "400 x 31 pixels; the short side must be at least 32")


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_other_image_formats_are_named(tmp_path: Path, encode: Encode, form: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(1, form=form))
    assert rejection(path) == ("unsupported_format", f"{form}; allowed are JPEG, PNG and WebP")


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_an_animation_is_refused_since_no_frame_is_the_photo(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    path = save(tmp_path / "photo", frames[0], form, save_all=True, append_images=frames[1:])
    reason, detail = rejection(path)
    assert reason == "unsupported_format"
    assert detail.startswith(f"animated {form} with 2 frames")


def test_a_phone_jpeg_with_a_preview_in_it_is_an_ordinary_photo(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    path = save(tmp_path / "photo.jpg", red, "MPO", save_all=True, append_images=[blue])
    assert np.asarray(stored(path))[..., 0].mean() > 240


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg", Image.new("RGB", (64, 48), (200, 40, 40)).convert("CMYK"), "JPEG")
    red, green, blue = np.asarray(stored(path)).reshape(-1, 3).mean(axis=0)
    assert red > 180
    assert green < 80
    assert blue < 80


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (48, 1))
    path = save(tmp_path / "photo.png", Image.fromarray(ramp), "PNG")
    grey = np.asarray(stored(path)).mean(axis=(0, 2))
    assert grey[0] < 16
    assert 110 < grey.mean() < 145
    assert grey[-1] > 239


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_other_mode_becomes_rgb(tmp_path: Path, encode: Encode, mode: str) -> None:
    image = Image.open(io.BytesIO(encode(1))).convert(mode)
    stored(save(tmp_path / "photo.png", image, "PNG"))


def test_exif_rotation_is_applied_and_dropped(tmp_path: Path) -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[:, :200, 0] = 255  # left half red
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright: left becomes top
    path = save(tmp_path / "photo.jpg", Image.fromarray(pixels), "JPEG", exif=exif)
    image = stored(path)
    assert image.size == (20, 40)
    look = check_photo(path, stored_side=SIDE).look
    assert (look.width, look.height) == (200, 400)
    assert np.asarray(image)[:18, :, 0].mean() > 240
    assert np.asarray(image)[22:, :, 0].mean() < 15
    assert not image.getexif()


def test_broken_exif_does_not_cost_the_photo(tmp_path: Path, encode: Encode) -> None:
    image = Image.open(io.BytesIO(encode(1)))
    stored(save(tmp_path / "photo.jpg", image, "JPEG", exif=b"Exif\0\0no such thing as a tag"))


def test_a_folder_named_like_a_photo_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").mkdir()
    assert rejection(tmp_path / "photo.jpg") == ("unreadable", "Is a directory")


def test_any_damage_is_either_survived_or_rejected(tmp_path: Path, encode: Encode) -> None:
    """Pillow's parsers raise all sorts of things; none may get out."""
    random = np.random.default_rng(7)
    path = tmp_path / "photo"
    for form in ("JPEG", "PNG", "WEBP"):
        whole = np.frombuffer(encode(1, form=form), np.uint8)
        for _ in range(100):
            damaged = whole.copy()
            damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            with contextlib.suppress(RejectedError):
                check_photo(path, stored_side=SIDE)


def test_blur_lowers_the_score() -> None:
    sharp = Image.effect_noise((200, 150), 60).convert("RGB")
    scores = [blur_score(sharp.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 3)]
    assert scores[0] > 10 * scores[1] > 10 * scores[2]
    assert blur_score(Image.new("RGB", (40, 30), "red")) == 0
    assert blur_score(Image.new("RGB", (40, 1))) == 0


def test_a_photo_that_fits_keeps_its_size_and_a_long_one_keeps_a_pixel() -> None:
    assert fitted((40, 30), 40) == (40, 30)
    assert fitted((4000, 33), 40) == (40, 1)
    assert fitted((300, 400), 200) == (150, 200)


def test_real_blurred_photos_score_lower_than_real_sharp_ones() -> None:
    """Judged by eye: on the first two no print can be read, on the others it can."""
    folder = shared_dir("abid") / "aft-vbi-pds" / "bin-images"
    blurred, sharp = (
        [check_photo(folder / f"{key}.jpg", stored_side=280).look.blur for key in keys]
        for keys in (("00034", "00042"), ("00025", "00028"))
    )
    assert max(blurred) < min(sharp) / 2
