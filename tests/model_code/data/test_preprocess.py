"""The whole job, as SageMaker would start it: folders in, shards and reports out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tally.data.preprocess import PreprocessSettings, main, shard_count
from tally.data.shards import Split
from tally.errors import TallyError
from tally.paths import MlPaths
from tests.shared import shared_dir

Prepare = Callable[..., Any]
Encode = Callable[..., bytes]


def test_good_photos_fill_three_splits(raw: Any, prepare: Prepare) -> None:
    outcome = prepare(raw.root)
    sides = outcome.sides()
    report = outcome.report
    assert len(sides) == report["photos_seen"] == report["photos_used"] == 40
    assert report["reasons"] == {}
    assert {side: report["splits"][side]["photos"] for side in report["splits"]} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    assert report["splits"]["train"]["groups"] == 32
    assert outcome.split("train").stored_side == 40
    for side in ("train", "validation", "test"):
        assert all(max(photo.width, photo.height) == 40 for photo in outcome.split(side).photos)


def test_the_same_input_gives_the_same_bytes(raw: Any, prepare: Prepare) -> None:
    first, second = prepare(raw.root), prepare(raw.root, "--workers", "1", into="again")
    assert first.shards() == second.shards()
    assert len(first.shards()) > 2
    assert first.split("test").sha256 == second.split("test").sha256


def test_two_instances_write_the_shards_of_one(raw: Any, prepare: Prepare) -> None:
    for number in range(40, 240):
        raw.add(f"{20 * number + 10:05d}", number % 5 + 1)
    one, two = prepare(raw.root), prepare(raw.root, into="two", hosts=2)
    assert one.shards() == two.shards()
    assert one.split("train").photos == two.split("train").photos
    reports = [
        json.loads((two.paths.processing_output("report") / f"report-0000{part}-of-00002.json").read_text())
        for part in (0, 1)
    ]
    assert sum(report["photos_used"] for report in reports) == one.report["photos_used"] == 240
    assert min(report["photos_used"] for report in reports) > 60


def test_more_photos_keep_every_photo_in_its_split(raw: Any, prepare: Prepare) -> None:
    before = prepare(raw.root).sides()
    for number in range(200):
        raw.add(f"{7 * number + 1:05d}", number % 5 + 1)
    after = prepare(raw.root, into="later").sides()
    assert len(after) > len(before) + 150
    assert before.items() <= after.items()


def test_every_bad_photo_is_listed_with_its_reason_and_the_rest_is_used(
    raw: Any, prepare: Prepare, encode: Encode, tmp_path: Path
) -> None:
    whole = encode(1, (200, 150))
    animation = tmp_path / "animation.webp"
    red, blue = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    red.save(animation, save_all=True, append_images=[blue])
    bomb = tmp_path / "bomb.png"
    Image.new("1", (10_000, 10_000)).save(bomb)
    raw.add("00011", photo=whole[: len(whole) // 2])
    raw.add("00012", photo=b"")
    raw.add("00013", photo=b"this is not a photo")
    raw.add("00014.png", photo=bomb.read_bytes())
    raw.add("00015.webp", photo=animation.read_bytes())
    raw.add("00016", photo=encode(2, (64, 20)))
    raw.add("00031", metadata=b"{")
    raw.add("00032", metadata=b"{}")
    raw.add("00033", 0)
    raw.add("00034", 6)
    raw.add("00035", "three")
    raw.add("00036")
    (raw.root / "metadata/00036.json").unlink()
    raw.add("00051", 2, photo=encode(51))
    raw.add("00052", 2, photo=encode(51))
    raw.add("00053", 1, photo=encode(53))
    raw.add("00054", 4, photo=encode(53))
    raw.add("00055.gif", 4, photo=encode(55, form="GIF"))
    outcome = prepare(raw.root)
    assert {file: reason for file, (reason, _) in outcome.quarantined().items()} == {
        "bin-images/00011.jpg": "unreadable",
        "bin-images/00012.jpg": "empty_file",
        "bin-images/00013.jpg": "not_an_image",
        "bin-images/00014.png": "too_many_pixels",
        "bin-images/00015.webp": "unsupported_format",
        "bin-images/00016.jpg": "too_small",
        "bin-images/00031.jpg": "metadata_invalid",
        "bin-images/00032.jpg": "label_missing",
        "bin-images/00033.jpg": "label_out_of_range",
        "bin-images/00034.jpg": "label_out_of_range",
        "bin-images/00035.jpg": "label_out_of_range",
        "bin-images/00036.jpg": "metadata_missing",
        "bin-images/00052.jpg": "duplicate",
        "bin-images/00053.jpg": "conflicting_labels",
        "bin-images/00054.jpg": "conflicting_labels",
        "bin-images/00055.gif": "unsupported_format",
    }
    details = {file: detail for file, (_, detail) in outcome.quarantined().items()}
    assert details["bin-images/00052.jpg"] == "identical to bin-images/00051.jpg"
    assert details["bin-images/00054.jpg"] == (
        "identical files, several labels: bin-images/00053.jpg (1), bin-images/00054.jpg (4)"
    )
    report = outcome.report
    assert report["reasons"]["label_out_of_range"] == 3
    assert sum(report["reasons"].values()) == 16
    assert report["photos_seen"] == report["photos_used"] + 16
    assert set(outcome.sides()) >= {"00051", "00010", "00030"}
    page = (outcome.paths.processing_output("report") / "report.html").read_text()
    assert "bin-images/00035.jpg" in page
    assert "EXPECTED_QUANTITY is &#34;three&#34;" in page


def test_odd_but_sound_photos_are_used(raw: Any, prepare: Prepare, tmp_path: Path, encode: Encode) -> None:
    odd = tmp_path / "odd"
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(raw.root / "bin-images/00010.jpg").rotate(180).convert("CMYK").save(odd, "JPEG")
    raw.add("00011", photo=odd.read_bytes())
    Image.fromarray(np.random.default_rng(0).integers(0, 65536, (48, 64), dtype=np.uint16)).save(odd, "PNG")
    raw.add("00012.png", photo=odd.read_bytes())
    raw.add("00013", photo=encode(13, (64, 48), exif=exif))
    raw.add("00014.png", photo=encode(14, form="PNG"))
    raw.add("00015.webp", photo=encode(15, form="WEBP"))
    outcome = prepare(raw.root)
    assert outcome.report["reasons"] == {}
    photos = {photo.id: photo for side in ("train", "validation", "test") for photo in outcome.split(side).photos}
    assert photos.keys() >= {"00011", "00012", "00013", "00014", "00015"}
    assert (photos["00013"].width, photos["00013"].height) == (30, 40)


def test_of_identical_photos_on_two_sides_the_one_in_train_stays(raw: Any, prepare: Prepare, encode: Encode) -> None:
    """An older champion may have been trained on it: it must not turn up in a test set."""
    sides = prepare(raw.root).sides()
    test_id = min(key for key, side in sides.items() if side == "test")
    train_id = max(key for key, side in sides.items() if side == "train")
    assert test_id < train_id
    for key in (test_id, train_id):
        raw.add(key, 3, photo=encode(1))
    outcome = prepare(raw.root, into="again")
    assert outcome.quarantined() == {
        f"bin-images/{test_id}.jpg": ("duplicate", f"identical to bin-images/{train_id}.jpg")
    }


def test_neighbours_across_a_border_are_set_aside_and_listed(raw: Any, prepare: Prepare) -> None:
    for number in range(400):
        raw.add(f"{number:05d}", number % 5 + 1)
    report = prepare(raw.root).report
    assert len(report["guard"]) > 5
    assert report["photos_seen"] == 420 == report["photos_used"] + len(report["guard"])


def test_explicit_groups_stay_together(raw: Any, prepare: Prepare) -> None:
    lines = [f"{20 * block + 10:05d},bin-{block // 2},camera-{block % 2}\n" for block in range(40)]
    (raw.root / "groups.csv").write_text("image_id,group,source\n" + "".join(lines))
    outcome = prepare(raw.root)
    sides: dict[str, set[str]] = {}
    for side in ("train", "validation", "test"):
        for photo in outcome.split(side).photos:
            sides.setdefault(photo.group, set()).add(side)
            assert photo.source.startswith("camera-")
    assert len(sides) == 20
    assert all(len(where) == 1 for where in sides.values())
    assert set(outcome.report["sources"]) == {"camera-0", "camera-1"}


def test_an_empty_class_is_a_warning(raw: Any, prepare: Prepare, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        raw.add(f"{20 * number + 10:05d}", number % 4 + 1)
    report = prepare(raw.root).report
    assert "count 5 has no photos in train: add some, or the model never learns it" in report["warnings"]
    assert "warning: count 5 has no photos in train" in capsys.readouterr().out


def test_a_class_of_one_source_is_a_warning(raw: Any, prepare: Prepare) -> None:
    lines = [f"{20 * block + 10:05d},{block},{'a' if block % 5 == 2 else 'b'}\n" for block in range(40)]
    (raw.root / "groups.csv").write_text("image_id,group,source\n" + "".join(lines))
    warnings = prepare(raw.root).report["warnings"]
    assert "all photos of count 3 come from source 'a': a model may learn the source" in warnings


def test_no_usable_photo_at_all_is_an_error_with_the_numbers(raw: Any, prepare: Prepare) -> None:
    for photo in (raw.root / "bin-images").iterdir():
        photo.write_bytes(b"not a photo")
    with pytest.raises(TallyError, match=r"too few photos: of \d+ photos found, usable are train 0, validation 0, "):
        prepare(raw.root)


def test_too_few_photos_are_an_error_with_the_numbers(tmp_path: Path, raw: Any, prepare: Prepare) -> None:
    shutil.rmtree(raw.root)
    for number in range(15):
        raw.add(f"{number:05d}", number % 5 + 1)
    with pytest.raises(TallyError, match=r"too few photos: of 15 photos found, usable are train \d+, validation \d+, "):
        prepare(raw.root)


def test_a_split_whose_photos_all_fail_is_an_error_that_says_why(raw: Any, prepare: Prepare) -> None:
    for key, side in prepare(raw.root).sides().items():
        if side == "test":
            raw.add(key, photo=b"")
    with pytest.raises(TallyError, match=r"usable are train 32, validation 4, test 0, empty_file 4; every split needs"):
        prepare(raw.root, into="again")


def test_the_least_number_of_photos_can_be_raised(raw: Any, prepare: Prepare) -> None:
    with pytest.raises(TallyError, match=r"test 4; every split needs at least 5\."):
        prepare(raw.root, "--min-photos", "5")


def test_progress_and_a_summary_are_printed(raw: Any, prepare: Prepare, capfd: pytest.CaptureFixture[str]) -> None:
    prepare(raw.root)
    out = capfd.readouterr().out
    assert "progress photos=40/40 photos_per_second=" in out
    assert "photos_seen=40 photos_used=40 guard=0 quarantined=0 seconds=" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--image-size", "8"], "--image-size is 8; it must be from 32 to 2048"),
        (["--max-pixels", "100000000"], "--max-pixels is 100000000; it must be from 10000 to 89478485"),
        (["--workers", "0"], "--workers is 0; it must be from 1 to 1024"),
        (["--min-photos", "0"], "--min-photos is 0"),
    ],
)
def test_options_out_of_range_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(TallyError, match=message):
        PreprocessSettings.parse(argv)


def test_a_full_disk_names_the_shard_and_leaves_no_half_one(raw: Any, prepare: Prepare, tmp_path: Path) -> None:
    train = tmp_path / "ml/processing/output/train"
    train.mkdir(parents=True)
    (train / ".shard-00000.tar.partial").symlink_to("/dev/full")
    with pytest.raises(TallyError, match=r"cannot write .*/train/shard-00000\.tar: No space left on device; give"):
        prepare(raw.root)
    assert not (train / "shard-00000.tar").exists()
    with pytest.raises(TallyError, match="no prepared photos here"):
        Split.open(train)


def test_a_file_size_limit_ends_the_job_with_a_reason(raw: Any, tmp_path: Path) -> None:
    paths = MlPaths(tmp_path / "ml")
    paths.processing_input("x").parent.mkdir(parents=True)
    paths.processing_input("photos").symlink_to(raw.root)
    job = (
        "import resource, pathlib\n"
        "from tally.data.preprocess import main, MlPaths\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        f"main(['--image-size', '32'], MlPaths(pathlib.Path({str(paths.root)!r})))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", job], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TallyError: cannot write" in done.stderr.splitlines()[-1]
    assert "File too large; raise the file size limit" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["train", "report"])
def test_an_output_that_cannot_be_a_folder_is_named(raw: Any, prepare: Prepare, tmp_path: Path, name: str) -> None:
    (tmp_path / "ml/processing/output").mkdir(parents=True)
    (tmp_path / "ml/processing/output" / name).write_text("in the way")
    with pytest.raises(TallyError, match=rf"cannot write .*/output/{name}: File exists; remove the file"):
        prepare(raw.root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_is_named(raw: Any, prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "ml/processing/output").mkdir(parents=True, mode=0o500)
    with pytest.raises(TallyError, match="let the user that runs the job write to it"):
        prepare(raw.root)


def test_a_host_that_is_not_in_the_list_is_an_error(raw: Any, tmp_path: Path) -> None:
    paths = MlPaths(tmp_path / "ml")
    paths.processing_config.mkdir(parents=True)
    (paths.processing_config / "resourceconfig.json").write_text('{"current_host": "c", "hosts": ["a", "b"]}')
    with pytest.raises(TallyError, match="current_host 'c' is not in"):
        main([], paths)


def test_shards_stay_few_for_large_sets_and_several_for_small_ones() -> None:
    assert [shard_count(photos) for photos in (1, 50, 51, 800, 5_000, 430_000)] == [1, 1, 2, 16, 16, 430]


def test_real_photos_of_the_public_bucket_run_through(prepare: Prepare) -> None:
    outcome = prepare(shared_dir("abid") / "aft-vbi-pds")
    report = outcome.report
    assert report["photos_seen"] == 256
    assert report["photos_used"] == 256 - len(report["guard"])
    assert report["quarantined"] == []
    assert sum(len(outcome.split(side)) for side in ("train", "validation", "test")) == report["photos_used"]
    assert report["warnings"] == []
