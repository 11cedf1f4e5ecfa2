"""What the data report says about planted trouble: real Preprocess runs on small sets."""

import csv
import io
import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tally.data import near_duplicates
from tally.data.grouping import SIDES
from tally.data.shards import manifest_name

Prepare = Callable[..., Any]


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A photo whose hashes differ from those of other seeds."""
    patches = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, quality: int = 90, form: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **({"quality": quality} if form == "JPEG" else {}))
    return stream.getvalue()


def run_with_planted_trouble(raw: Any, prepare: Prepare, *, hosts: int = 1) -> Any:
    """Forty photos; five of them near-duplicates of others, one blurred, one flat."""
    sides = prepare(raw.root, into="first").sides()
    keys = sorted(sides)
    for number, key in enumerate(keys):
        raw.add(key, number % 5 + 1, photo=encoded(scene(number)))
    train = [key for key in keys if sides[key] == "train"]
    (test,) = [key for key in keys if sides[key] == "test"][:1]
    base = scene(1000)
    raw.add(train[0], 2, photo=encoded(base))
    raw.add(train[1], 2, photo=encoded(base.resize((96, 72), Image.Resampling.BILINEAR), 60))
    raw.add(train[2], 4, photo=encoded(base, 45))
    raw.add(test, 2, photo=encoded(base.resize((240, 180), Image.Resampling.BICUBIC), 70))
    raw.add(train[3], 5, photo=encoded(scene(7).filter(ImageFilter.GaussianBlur(12))))
    raw.add(train[4], 5, photo=encoded(Image.new("RGB", (160, 120), (90, 90, 90))))
    raw.add(train[5], 1, photo=encoded(Image.new("RGB", (160, 120), (91, 91, 91))))
    return prepare(raw.root, into="planted", hosts=hosts), (*train[:6], test)


@pytest.fixture
def planted(raw: Any, prepare: Prepare) -> tuple[Any, tuple[str, ...]]:
    run: tuple[Any, tuple[str, ...]] = run_with_planted_trouble(raw, prepare)
    return run


def pairs(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_planted_trouble_is_found_listed_and_shown(planted: tuple[Any, tuple[str, ...]]) -> None:
    outcome, (a, b, c, blurred, flat, flat_too, test) = planted
    report, folder = outcome.report, outcome.paths.processing_output("report")
    rows = pairs(folder / "near_duplicates.csv")
    found = {frozenset((row["id_1"], row["id_2"])): row for row in rows}
    assert set(found) == {frozenset(pair) for pair in ((a, b), (a, c), (b, c), (a, test), (b, test), (c, test))}
    assert (found[frozenset((a, b))]["other_split"], found[frozenset((a, b))]["other_count"]) == ("no", "no")
    assert (found[frozenset((c, test))]["other_split"], found[frozenset((c, test))]["other_count"]) == ("yes", "yes")
    assert [row["other_split"] for row in rows] == ["yes"] * 3 + ["no"] * 3, "the gravest come first"
    assert frozenset((rows[0]["id_1"], rows[0]["id_2"])) == frozenset((c, test))
    near = report["near_duplicates"]
    assert near["complete"]
    assert (near["pairs"], near["across_splits"], near["different_counts"]) == (6, 3, 3)
    assert (near["photos_compared"], near["photos_too_flat"]) == (38, 2), "flat photos are alike and mean nothing"
    assert any(text.startswith("3 pairs of photos look the same and lie on different") for text in report["warnings"])
    assert any(text.startswith("3 pairs of photos look the same and carry diff") for text in report["warnings"])
    assert {flat, flat_too} == {item["id"] for item in report["most_blurred"][:2]}
    assert report["most_blurred"][2]["id"] == blurred
    assert set(outcome.sides()) >= {a, b, c, blurred, flat, flat_too, test}, "nothing is dropped for it"

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('class="pair"') == 6
    assert "near_duplicates.csv" in page
    for title in ("Photos by count and split", "Size of the originals", "Shape of the", "Brightness", "Contrast"):
        assert title in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page), "the report must open without network"


def test_a_list_that_is_cut_says_so_with_the_remedy(
    raw: Any, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 5)
    outcome, _ = run_with_planted_trouble(raw, prepare)
    near = outcome.report["near_duplicates"]
    assert 0 < near["pairs"] <= 5
    assert not near["complete"]
    (warning,) = [text for text in outcome.report["warnings"] if text.startswith("too many photos look the same")]
    assert "remove the frames of a covered lens and the like, which come again and again in near_dupl" in warning
    page = (outcome.paths.processing_output("report") / "report.html").read_text(encoding="utf-8")
    assert "Pairs may be missing" in page


def test_several_instances_list_the_pairs_of_their_part_and_say_so(raw: Any, prepare: Prepare) -> None:
    outcome, (a, b, c, *_, test) = run_with_planted_trouble(raw, prepare, hosts=2)
    folder = outcome.paths.processing_output("report")
    found = 0
    for part in (0, 1):
        mine = ids_of(outcome, part)
        rows = pairs(folder / f"near_duplicates-0000{part}-of-00002.csv")
        wanted = {frozenset(pair) for pair in combinations((a, b, c, test), 2) if mine.issuperset(pair)}
        assert {frozenset((row["id_1"], row["id_2"])) for row in rows} == wanted
        found += len(wanted)
    assert found >= 2, "of four photos in two parts"
    page = (folder / "report-00000-of-00002.html").read_text(encoding="utf-8")
    assert "Only photos of this part were compared" in page


def test_what_is_known_of_one_part_alone_is_said_to_be(raw: Any, prepare: Prepare) -> None:
    lines = [f"{20 * block + 10:05d},{block},{'odd' if block % 5 < 2 else 'even'}\n" for block in range(40)]
    (raw.root / "groups.csv").write_text("image_id,group,source\n" + "".join(lines))
    one, two = prepare(raw.root, into="one"), prepare(raw.root, into="two", hosts=2)
    page = (one.paths.processing_output("report") / "report.html").read_text(encoding="utf-8")
    part = (two.paths.processing_output("report") / "report-00000-of-00002.html").read_text(encoding="utf-8")
    assert "source and count go together" in page
    assert "source and count go together" not in part
    for text in ("All numbers are of this part.", "(PreprocessInstanceCount=1)", "source and count of this part is"):
        assert text in part
        assert text not in page


def ids_of(outcome: Any, part: int) -> set[str]:
    """Photos of this part of two, whatever their side."""
    manifests = [outcome.paths.processing_output(side) / manifest_name(part, 2) for side in SIDES]
    return {json.loads(line)["id"] for manifest in manifests for line in manifest.read_text().splitlines()}


def test_sources_that_give_the_count_away_are_a_warning_with_the_numbers(raw: Any, prepare: Prepare) -> None:
    for number in range(40, 120):
        raw.add(f"{20 * number + 10:05d}", number % 5 + 1)
    lines = [f"{20 * block + 10:05d},{block},{'odd' if block % 5 < 2 else 'even'}\n" for block in range(120)]
    lines[0] = lines[0].replace("odd", "even")  # count 1 comes from both, count 2 from one alone
    (raw.root / "groups.csv").write_text("image_id,group,source\n" + "".join(lines))
    outcome = prepare(raw.root)
    report = outcome.report
    effect = report["source_effect"]
    table = np.array([[report["sources"][name][str(count)] for count in range(1, 6)] for name in ("even", "odd")])
    assert effect["guess_with_source"] == pytest.approx(table.max(axis=1).sum() / table.sum(), abs=1e-4)
    assert effect["cramers_v"] > 0.9
    assert set(effect["apart"]) == {"even", "odd"}
    warnings = "\n".join(report["warnings"])
    assert "all photos of count 2 come from source 'odd'" in warnings
    assert re.search(r"9\d% of the photos of count 1 come from source 'odd', which holds \d\d% of all", warnings)
    assert f"source and count go together (Cramer's V {effect['cramers_v']:.2f})" in warnings
    page = (outcome.paths.processing_output("report") / "report.html").read_text(encoding="utf-8")
    assert "Mix of counts by source" in page


def test_sources_with_one_mix_are_no_warning(raw: Any, prepare: Prepare) -> None:
    lines = [f"{20 * block + 10:05d},{block},{'a' if block % 2 else 'b'}\n" for block in range(40)]
    (raw.root / "groups.csv").write_text("image_id,group,source\n" + "".join(lines))
    assert not any("source" in warning for warning in prepare(raw.root).report["warnings"])
