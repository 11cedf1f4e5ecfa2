"""Sample photos: the same bytes every time, in the public bucket's layout, with the flaws that real data has."""

import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from local.sample_data import generate
from tests.shared import shared_dir

PHOTOS = 240


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    generate(out, photos=PHOTOS, seed=7, workers=2)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


def metadata(sample: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((sample / "metadata").iterdir())}


def is_sound(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def test_one_seed_gives_the_same_bytes_whatever_the_number_of_processes(sample: Path, tmp_path: Path) -> None:
    generate(tmp_path, photos=PHOTOS, seed=7, workers=1)
    assert digests(tmp_path) == digests(sample)


def test_more_photos_begin_with_the_same_ones(sample: Path, tmp_path: Path) -> None:
    generate(tmp_path, photos=100, seed=7)
    fewer = digests(tmp_path)
    assert len(fewer) == 200
    assert fewer.items() <= digests(sample).items()


def test_another_seed_gives_other_photos(sample: Path, tmp_path: Path) -> None:
    generate(tmp_path, photos=20, seed=8)
    assert not set(digests(tmp_path).values()) & set(digests(sample).values())


def test_every_photo_has_metadata_in_the_public_shape(sample: Path) -> None:
    photos = {path.stem for path in (sample / "bin-images").iterdir()}
    records = metadata(sample)
    assert len(photos) == PHOTOS
    assert photos == set(records)
    real = shared_dir("abid") / "aft-vbi-pds" / "metadata" / "00004.json"
    product = next(iter(json.loads(real.read_text())["BIN_FCSKU_DATA"].values()))
    for record in records.values():
        assert set(record) == {"BIN_FCSKU_DATA", "EXPECTED_QUANTITY"}
        assert record["EXPECTED_QUANTITY"] == sum(item["quantity"] for item in record["BIN_FCSKU_DATA"].values())
        for asin, item in record["BIN_FCSKU_DATA"].items():
            assert item["asin"] == asin
            assert set(item) == set(product)


def test_counts_are_balanced(sample: Path) -> None:
    counts = Counter(record["EXPECTED_QUANTITY"] for record in metadata(sample).values())
    assert set(counts) == {1, 2, 3, 4, 5}
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_ids_come_in_neighbours_with_gaps_between(sample: Path) -> None:
    numbers = sorted(int(path.stem) for path in (sample / "bin-images").iterdir())
    steps = Counter(after - before for before, after in pairwise(numbers))
    assert steps[1] > 50
    assert sum(count for step, count in steps.items() if step > 2) > 80


def test_a_pick_takes_one_object_and_leaves_the_others(sample: Path) -> None:
    records = metadata(sample)
    picks = [
        (before, after)
        for key, before in records.items()
        if (after := records.get(f"{int(key) + 1:05d}")) and before["BIN_FCSKU_DATA"].keys() & after["BIN_FCSKU_DATA"]
    ]
    assert len(picks) > 40
    assert all(set(after["BIN_FCSKU_DATA"]) <= set(before["BIN_FCSKU_DATA"]) for before, after in picks)


def test_a_few_files_are_damaged_in_three_ways(sample: Path) -> None:
    damaged = [path for path in sorted((sample / "bin-images").iterdir()) if not is_sound(path)]
    contents = [path.read_bytes() for path in damaged]
    assert 3 <= len(damaged) <= 6
    assert b"" in contents
    assert any(content.startswith(b"not a photo") for content in contents)
    assert any(content.startswith(b"\xff\xd8") for content in contents)


def test_photos_are_small_colour_jpegs_of_several_shapes(sample: Path) -> None:
    sizes = set()
    for path in sorted((sample / "bin-images").iterdir())[40:80]:
        image = Image.open(io.BytesIO(path.read_bytes()))
        assert image.mode == "RGB"
        assert 210 <= image.width <= 270
        assert 160 <= image.height <= 200
        sizes.add(image.size)
    assert len(sizes) > 10


def test_more_objects_hide_more_of_the_bin(sample: Path) -> None:
    """A rough count can be seen without any training: the share of pixels that are not of the wall's colour."""
    shares: dict[int, list[float]] = {count: [] for count in range(1, 6)}
    for key, record in metadata(sample).items():
        path = sample / "bin-images" / f"{key}.jpg"
        if is_sound(path):
            pixels = np.asarray(Image.open(path).convert("HSV").resize((60, 45)))[6:36, :, 0].astype(int)
            shares[record["EXPECTED_QUANTITY"]].append(float((abs(pixels - np.median(pixels)) > 12).mean()))
    means = [float(np.mean(shares[count])) for count in range(1, 6)]
    assert means[0] < means[2] < means[4]


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.sample_data", "--out", str(tmp_path / "s"), "--photos", "30", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2])
    assert done.stdout == f"wrote 30 photos to {tmp_path / 's'}\n"
    assert len(list((tmp_path / "s/bin-images").iterdir())) == 30


def test_no_photos_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="photos is 0; it must be at least 1"):
        generate(tmp_path, photos=0, seed=7)
