"""Numbers of one photo, and the rows that keep them beside the manifest."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tally.data.looks import (
    ROW,
    Look,
    blur_score,
    brightness_contrast,
    difference_hashes,
    known,
    look_at,
    look_rows,
    looks_name,
    read_looks,
    write_looks,
)
from tally.data.near_duplicates import DISTANCE
from tally.data.shard_writer import Prepared, write_split
from tally.data.shards import Split
from tally.errors import TallyError
from tests.shared import shared_dir


def scene(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Soft patches with some detail: hashes like those of real photos."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def again(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def distance(one: Image.Image, other: Image.Image) -> int:
    """Bits of 128 in which the hashes of two photos differ."""
    pairs = zip(difference_hashes(one.convert("L")), difference_hashes(other.convert("L")), strict=True)
    return sum((a ^ b).bit_count() for a, b in pairs)


def test_brightness_and_contrast_are_numpys_mean_and_standard_deviation() -> None:
    grey = scene(1).convert("L")
    pixels = np.asarray(grey, dtype=np.float64)
    assert brightness_contrast(grey) == pytest.approx((pixels.mean(), pixels.std()))


def test_the_blur_score_is_the_variance_of_the_laplacian_to_the_last_digits() -> None:
    grey = np.asarray(scene(2).convert("L"), dtype=np.float64)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    assert blur_score(scene(2)) == pytest.approx(laplacian.var(), rel=1e-12)


def test_a_checkerboard_has_the_largest_laplacian_and_nothing_overflows() -> None:
    board = (np.indices((40, 40)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert blur_score(Image.fromarray(board)) == pytest.approx(1020**2)


def test_hashes_survive_resizing_recompression_and_light_and_tell_photos_apart() -> None:
    for seed in range(10):
        photo = scene(seed)
        smaller = photo.resize((101, 76), Image.Resampling.BILINEAR)
        brighter = photo.point([min(255, round(value * 0.9 + 10)) for value in range(256)] * 3)
        for same in (smaller, again(photo, 40), brighter, photo.filter(ImageFilter.GaussianBlur(1))):
            assert distance(photo, same) <= 10
        assert distance(photo, scene(seed + 100)) > 30


def prepared(number: int) -> Prepared:
    return Prepared(
        id=f"{number:05d}",
        count=number % 5 + 1,
        group=f"block:{number}",
        source="",
        sha256=f"{number:064x}",
        width=40,
        height=30,
        jpeg=bytes([number]) * (100 + number),
    )


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """A split whose manifest order is not that of the ids."""
    write_split(tmp_path, [prepared(number) for number in (3, 1, 4, 0, 2)], split="train", stored_side=40)
    return Split.open(tmp_path)


def look(number: int) -> Look:
    return Look(100 + number, 80, 1.5, 2.5, 3.5, number, 2**64 - 1)


def test_rows_come_back_in_the_order_of_the_photos(split: Split) -> None:
    manifest = [split.photos[number] for number in (3, 1, 4, 0, 2)]
    write_looks(split.directory, 0, 1, [look_rows(manifest, [look(int(photo.id)) for photo in manifest])])
    rows = read_looks(split)
    assert rows["width"].tolist() == [100, 101, 102, 103, 104]
    assert rows["rows_hash"].tolist() == [0, 1, 2, 3, 4]
    assert rows["columns_hash"].tolist() == [2**64 - 1] * 5
    assert rows["count"].tolist() == [1, 2, 3, 4, 5]
    assert known(rows).all()


def test_looks_of_older_shards_are_unknown_and_no_error(split: Split) -> None:
    rows = read_looks(split)
    assert len(rows) == 5
    assert not known(rows).any()


def test_looks_of_some_photos_may_be_missing(split: Split) -> None:
    some = [split.photos[4], split.photos[1]]
    write_looks(split.directory, 0, 1, [look_rows(some, [look(4), look(1)])])
    assert known(read_looks(split)).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("damage", ["cut", "text", "other rows", "empty"])
def test_a_damaged_file_is_named_with_the_remedy(split: Split, damage: str) -> None:
    path = split.directory / looks_name(0, 1)
    write_looks(split.directory, 0, 1, [look_rows(split.photos, [look(number) for number in range(5)])])
    content: dict[str, bytes] = {"cut": path.read_bytes()[:-20], "text": b"looks", "empty": b""}
    if damage == "other rows":
        np.save(path, np.zeros(5))
    else:
        path.write_bytes(content[damage])
    with pytest.raises(TallyError, match=r"looks-00000-of-00001\.npy: not a file of photos' looks .*copy the split"):
        read_looks(split)


def test_preprocess_writes_the_looks_of_every_photo_the_same_on_every_run(raw: Any, prepare: Any, encode: Any) -> None:
    raw.add("00010", 3, photo=encode(1, (200, 150)))
    one, two = prepare(raw.root), prepare(raw.root, "--workers", "1", into="again")
    for side in ("train", "validation", "test"):
        split = one.split(side)
        rows = read_looks(split)
        assert known(rows).all()
        assert rows["count"].tolist() == [photo.count for photo in split.photos]
        name = looks_name(0, 1)
        assert (split.directory / name).read_bytes() == (two.split(side).directory / name).read_bytes()
        for index, photo in enumerate(split.photos):
            if photo.id == "00010":
                assert (rows["width"][index], rows["height"][index]) == (200, 150)
    assert ROW.itemsize * 535_000 < 32e6


def test_two_instances_write_the_looks_of_one(raw: Any, prepare: Any) -> None:
    one, two = prepare(raw.root), prepare(raw.root, into="two", hosts=2)
    assert np.array_equal(read_looks(one.split("train")), read_looks(two.split("train")))


def test_look_at_gathers_them() -> None:
    photo = scene(3)
    found = look_at(photo, (480, 360))
    assert (found.width, found.height) == (480, 360)
    assert (found.rows_hash, found.columns_hash) == difference_hashes(photo.convert("L"))
    assert json.dumps([found.brightness, found.contrast, found.blur])


def test_hashes_of_real_photos_survive_another_size_and_quality() -> None:
    """DISTANCE says 97% of copies; of these 188 copies 96.8%, measured in November 2026."""
    files = sorted((shared_dir("abid") / "images").rglob("*.jpg"))[::100]
    within = []
    for file in files:
        photo = Image.open(file).convert("RGB")
        for scale, quality in ((0.6, 60), (1.3, 70), (0.5, 80), (1, 35)):
            size = (round(photo.width * scale), round(photo.height * scale))
            ours, theirs = (
                difference_hashes(image.convert("L")) for image in (photo, again(photo.resize(size), quality))
            )
            within += [all((a ^ b).bit_count() <= DISTANCE for a, b in zip(ours, theirs, strict=True))]
    assert np.mean(within) > 0.96
