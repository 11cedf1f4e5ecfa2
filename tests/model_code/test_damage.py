"""Photos that Pillow would take for sound, or decode for minutes, and that must be refused before."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tally.damage import MAX_SCANS, DamagedError, check_file
from tally.data.photos import check_photo
from tally.data.sources import RejectedError
from tally.letterbox import letterbox
from tally.predictor import BadPhoto, Limits, decode
from tests.shared import shared_dir

NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (48, 64, 3), dtype=np.uint8))
FLAT = Image.new("RGB", (64, 48), (120, 30, 200))


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pixels_of(png: bytes) -> range:
    """The positions of the bytes in a PNG's only IDAT."""
    start = png.index(b"IDAT") + 4
    return range(start, start + int.from_bytes(png[start - 8 : start - 4], "big"))


PNGS = {"noise": encoded(NOISE, "PNG"), "flat": encoded(FLAT, "PNG"), "grey": encoded(NOISE.convert("L"), "PNG")}


def is_refused(body: bytes, folder: Path) -> bool:
    """Whether counting refuses it; training and tests must be of the same mind."""
    try:
        decode(body, 32, Limits())
    except BadPhoto as error:
        assert (error.code, error.status) == ("undecodable", 422)  # noqa: PT017 - both outcomes are looked at
        counted = False
    else:
        counted = True
    path = folder / "photo"
    path.write_bytes(body)
    try:
        check_photo(path, stored_side=40)
    except RejectedError as error:
        assert error.reason == "unreadable"  # noqa: PT017 - both outcomes are looked at
        kept = False
    else:
        kept = True
    assert counted == kept
    return not counted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("name", PNGS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_png_with_any_byte_of_its_pixels_changed_is_refused(name: str, folder: Path, data: st.DataObject) -> None:
    png = PNGS[name]
    where = pixels_of(png)
    # Its checksum, four bytes behind the pixels, belongs to them.
    at = data.draw(st.integers(where.start, where.stop + 3))
    body = bytearray(png)
    body[at] ^= data.draw(st.integers(1, 255))
    assert is_refused(bytes(body), folder)


@pytest.mark.parametrize("name", PNGS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_png_that_ends_early_is_refused(name: str, folder: Path, data: st.DataObject) -> None:
    png = PNGS[name]
    # Before the pixels it is refused too, though not always as a PNG.
    assert is_refused(png[: data.draw(st.integers(pixels_of(png).start, len(png) - 1))], folder)


@pytest.mark.parametrize("at", [0, 1, 2, 40])
def test_pixels_that_cannot_be_decoded_are_refused_where_every_checksum_is_right(at: int, folder: Path) -> None:
    where = pixels_of(PNGS["noise"])
    body = bytearray(PNGS["noise"])
    body[where.start + at] ^= 0xFF
    pixels = bytes(body[where.start : where.stop])
    whole = bytes(body[: where.start - 8]) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    check_file(io.BytesIO(whole), "PNG")
    assert is_refused(whole, folder)
    with pytest.raises(OSError, match="image"):
        letterbox(Image.open(io.BytesIO(whole)), 32)


def test_a_note_with_a_wrong_checksum_behind_the_pixels_does_not_spoil_them(folder: Path) -> None:
    note = bytearray(chunk(b"tIME", bytes((7, 230, 1, 2, 3, 4, 5))))
    note[-1] ^= 1
    png = PNGS["noise"]
    check_file(io.BytesIO(png[:-12] + bytes(note) + png[-12:]), "PNG")


@pytest.mark.parametrize("options", [{}, {"pnginfo": None, "compress_level": 0}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_sound_pngs_of_every_mode_pass(mode: str, options: dict[str, Any], folder: Path) -> None:
    image = Image.new("I;16", (64, 48), 40_000) if mode == "I;16" else NOISE.convert(mode)
    assert not is_refused(encoded(image, "PNG", **options), folder)


def progressive_bomb(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan, which costs the decoder all pixels and the file 75 bytes, is repeated."""
    jpeg = encoded(Image.new("RGB", (side, side)), "JPEG", progressive=True, quality=5)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last * scans + jpeg[-2:]


def test_a_jpeg_of_eighty_thousand_scans_is_refused_at_once(tmp_path: Path) -> None:
    bomb = progressive_bomb(7000, 78_000)
    assert len(bomb) < Limits().max_bytes
    began = time.process_time()
    with pytest.raises(BadPhoto, match=f"more than {MAX_SCANS} scans") as caught:
        decode(bomb, 32, Limits())
    assert (caught.value.code, caught.value.status) == ("undecodable", 422)
    path = tmp_path / "bomb.jpg"
    path.write_bytes(bomb)
    with pytest.raises(RejectedError, match=f"more than {MAX_SCANS} scans"):
        check_photo(path, stored_side=40)
    assert time.process_time() - began < 0.5  # decoded it would be half an hour


def test_scans_are_counted_to_the_limit_and_no_further(folder: Path) -> None:
    own = progressive_bomb(64, 0).count(b"\xff\xda")
    assert 5 < own < 20
    assert not is_refused(progressive_bomb(64, MAX_SCANS - own), folder)
    assert is_refused(progressive_bomb(64, MAX_SCANS - own + 1), folder)


@pytest.mark.parametrize(
    "hide",
    [
        lambda scan: b"\xff" * 9 + scan,
        lambda scan: b"\x00 not a marker \xff\x00" + scan,
        lambda scan: b"\xff\xd3" + scan,
        lambda scan: b"\xff\xfe\x00\x00" + scan,
        lambda scan: b"\xff\xfe\x00\x04ab" + scan,
        lambda scan: b"\xff\x01" + scan,
        lambda scan: b"\xff\xef\xff\xff" + bytes(65533) + scan,
    ],
    ids=["fill", "garbage", "restart", "comment without length", "comment", "temporary", "long segment"],
)
def test_nothing_between_scans_hides_them(hide: Callable[[bytes], bytes]) -> None:
    jpeg = progressive_bomb(64, 0)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    bomb = jpeg[:-2] + hide(last) * 80 + jpeg[-2:]
    with pytest.raises(DamagedError, match="scans"):
        check_file(io.BytesIO(bomb), "JPEG")


@given(st.integers(0, 300_000), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_scans_are_found_wherever_the_reading_is_split(before: int, fill: int) -> None:
    jpeg = progressive_bomb(64, 0)
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    scans = (b"\xff" * fill + last) * (MAX_SCANS + 1)
    with pytest.raises(DamagedError, match="scans"):
        check_file(io.BytesIO(jpeg[:2] + b" " * before + scans), "JPEG")


def test_what_looks_like_scans_in_a_preview_or_behind_the_photo_is_none(folder: Path) -> None:
    jpeg = encoded(NOISE, "JPEG")
    preview = b"\xff\xe1" + struct.pack(">H", 602) + b"\xff\xda" * 300
    assert not is_refused(jpeg[:2] + preview + jpeg[2:], folder)
    assert not is_refused(jpeg + b"\xff\xda" * 3000, folder)


@pytest.mark.parametrize(
    "image", [NOISE, FLAT, NOISE.convert("L"), NOISE.convert("CMYK")], ids=lambda image: image.mode
)
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}])
def test_ordinary_jpegs_pass(image: Image.Image, options: dict[str, Any], folder: Path) -> None:
    assert not is_refused(encoded(image, "JPEG", **options), folder)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_checking_leaves_the_file_where_it_was_and_open(format: str) -> None:
    file = io.BytesIO(encoded(NOISE, format) + b"\xff\xda" * 200)
    file.seek(5)
    check_file(file, format)
    assert file.tell() == 5


def test_every_photo_of_the_public_bucket_passes() -> None:
    files = sorted(shared_dir("abid").rglob("*.jpg"))
    assert len(files) > 256
    for path in files:
        with path.open("rb") as file:
            check_file(file, "JPEG")


def test_checking_an_ordinary_photo_takes_next_to_no_time() -> None:
    photo = io.BytesIO(encoded(NOISE.resize((800, 600)), "JPEG", quality=90))
    times = []
    for _ in range(20):
        began = time.perf_counter()
        check_file(photo, "JPEG")
        times.append(time.perf_counter() - began)
    assert min(times) < 0.001
