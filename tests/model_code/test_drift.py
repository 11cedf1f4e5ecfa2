"""Drift between deliveries: what the evaluation makes of it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tally.data import near_duplicates
from tally.data.delivery import DATA_FILE, PHOTOS_FILE, Delivery, split_profile
from tally.data.looks import Look, look_rows, read_looks, write_looks
from tally.data.shard_writer import Prepared, write_split
from tally.data.shards import Split
from tally.errors import TallyError
from tally.evaluation import main
from tally.evaluation.deliveries import Drift, compare_deliveries
from tally.evaluation.drift import compare
from tally.evaluation.drift_page import write_drift_page
from tally.paths import MlPaths
from tally.provenance import TrainedOn
from tests.model_code.tiny_model import pack, write_model
from tests.model_code.tiny_model import photo as tiny_photo


def made_split(
    folder: Path,
    numbers: Sequence[int],
    *,
    side: int = 40,
    bright: float = 120.0,
    source: str = "a",
    looks: bool = True,
) -> Split:
    """Photos whose looks and labels are functions of their number."""
    folder.mkdir(parents=True)
    photos = [
        Prepared(f"{n:05d}", n % 5 + 1, f"csv:{n}", source, f"{n:064x}", 40, 30, tiny_photo(red=n % 5 + 1))
        for n in numbers
    ]
    write_split(folder, photos, split="train", stored_side=side)
    split = Split.open(folder)
    if looks:
        seen = [look(int(photo.id), bright) for photo in split.photos]
        write_looks(folder, 0, 1, [look_rows(split.photos, seen)])
    return split


def look(number: int, bright: float) -> Look:
    random = np.random.default_rng(number)
    rows, columns = (int(value) for value in random.integers(0, 2**64, 2, dtype=np.uint64))
    return Look(400 + number % 100, 300, bright + random.normal(0, 12), 40 + random.normal(0, 5), 200, rows, columns)


def made_model(folder: Path, train: Split, validation: Split) -> Path:
    folder.mkdir(parents=True)
    Delivery.of(train, validation).write(folder)
    TrainedOn.of(train, validation).write(folder)
    return folder


@pytest.fixture
def splits(tmp_path: Path) -> dict[str, Split]:
    return {
        "old": made_split(tmp_path / "old", range(400)),
        "validation": made_split(tmp_path / "validation", range(5000, 5040)),
        "test": made_split(tmp_path / "test", range(9000, 9100)),
    }


def drift_of(tmp_path: Path, splits: dict[str, Split], new: Split) -> Drift:
    directories = {
        "champion": made_model(tmp_path / "champion", splits["old"], splits["validation"]),
        "challenger": made_model(tmp_path / "challenger", new, splits["validation"]),
    }
    return compare_deliveries(directories, splits["test"], "group/7")


def levels(drift: Drift, name: str) -> dict[str, str]:
    return {feature.name: feature.level for feature in drift.comparisons[name].features}


def test_more_photos_of_the_same_kind_are_no_drift(tmp_path: Path, splits: dict[str, Split]) -> None:
    drift = drift_of(tmp_path, splits, made_split(tmp_path / "new", range(800)))
    assert (drift.new, drift.gone, drift.lookalikes) == (400, 0, ())
    assert set(drift.comparisons) == {"delivery", "new_photos", "test"}
    assert all(set(levels(drift, name).values()) <= {"stable", "chance"} for name in drift.comparisons)
    assert drift.warnings == []


def test_darker_new_photos_of_another_source_show_most_among_the_new_ones(
    tmp_path: Path, splits: dict[str, Split]
) -> None:
    folder = tmp_path / "new"
    made_split(tmp_path / "dark", range(600, 800), bright=70, source="b")
    old = splits["old"]
    dark = Split.open(tmp_path / "dark")
    folder.mkdir()
    photos = [
        Prepared(p.id, p.count, p.group, p.source, p.sha256, p.width, p.height, bytes(split.jpeg(index)))
        for split in (old, dark)
        for index, p in enumerate(split.photos)
    ]
    write_split(folder, photos, split="train", stored_side=40)
    new = Split.open(folder)
    seen = [look(int(photo.id), 70 if photo.source == "b" else 120) for photo in new.photos]
    write_looks(folder, 0, 1, [look_rows(new.photos, seen)])
    drift = drift_of(tmp_path, splits, new)
    assert (drift.new, drift.gone) == (200, 0)
    assert levels(drift, "new_photos") | {"brightness": "large", "source": "large"} == levels(drift, "new_photos")
    assert levels(drift, "new_photos")["count"] == "stable"
    psi = {
        name: next(f.psi for f in drift.comparisons[name].features if f.name == "brightness")
        for name in ("delivery", "new_photos")
    }
    assert 0 < (psi["delivery"] or 0) < (psi["new_photos"] or 0)
    assert any("the photos have changed in" in text and "brightness" in text for text in drift.warnings)
    section = json.loads(json.dumps(drift.as_dict(), allow_nan=False))
    assert section["new_photos"] == 200
    assert [comparison["name"] for comparison in section["comparisons"]] == ["delivery", "new_photos", "test"]

    write_drift_page(tmp_path / "drift.html", drift, splits["test"], "group/7")
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "The photos have changed." in page
    assert page.count("<svg") == 3 * 7
    assert 'src="http' not in page


def test_a_champion_without_a_profile_says_so_and_the_rest_is_compared(
    tmp_path: Path, splits: dict[str, Split]
) -> None:
    champion = made_model(tmp_path / "champion", splits["old"], splits["validation"])
    (champion / DATA_FILE).unlink()
    challenger = made_model(tmp_path / "challenger", splits["old"], splits["validation"])
    directories = {"champion": champion, "challenger": challenger}
    drift = compare_deliveries(directories, splits["test"], "group/7")
    assert drift.notes == (
        "the champion keeps no profile of its photos (no data.json; an older version of Tally trained it): drift "
        "against it is unknown",
    )
    assert (drift.new, drift.gone, list(drift.comparisons)) == (None, None, ["test"])
    write_drift_page(tmp_path / "drift.html", drift, splits["test"], "group/7")
    assert "drift against it is unknown" in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_with_the_baseline_as_champion_no_delivery_is_compared(tmp_path: Path, splits: dict[str, Split]) -> None:
    directories = {
        name: made_model(tmp_path / name, splits["old"], splits["validation"]) for name in ("champion", "challenger")
    }
    drift = compare_deliveries(directories, splits["test"], "baseline", in_service=False)
    assert drift.notes == ("no model is in service yet: there is nothing to compare this delivery with",)
    assert (drift.new, drift.gone, list(drift.comparisons)) == (None, None, ["test"])
    write_drift_page(tmp_path / "drift.html", drift, splits["test"], "baseline")
    assert "in service is what" not in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_a_champion_that_did_not_keep_groups_is_compared_photo_by_photo(
    tmp_path: Path, splits: dict[str, Split]
) -> None:
    directories = {
        name: made_model(tmp_path / name, splits["old"], splits["validation"]) for name in ("champion", "challenger")
    }
    data, photos = directories["champion"] / DATA_FILE, directories["champion"] / PHOTOS_FILE
    document = json.loads(data.read_text()) | {"format": "tally-data/1"}
    for name in ("train", "validation"):
        del document[name]["worth"]
    data.write_text(json.dumps(document))
    rows = np.load(photos)
    np.save(photos, rows[[name for name in rows.dtype.names if name != "group"]].astype(_older(rows.dtype)))
    drift = compare_deliveries(directories, splits["test"], "group/7")
    (note,) = drift.notes
    assert note.startswith("the champion does not keep the groups of its photos (an older version")
    assert set(levels(drift, "delivery").values()) == {"stable"}
    assert (drift.new, drift.gone) == (0, 0)


def _older(photo: "np.dtype[np.void]") -> "np.dtype[np.void]":
    return np.dtype([(name, photo[name]) for name in photo.names or () if name != "group"])


def test_neither_profile_leaves_a_page_that_says_so(tmp_path: Path, splits: dict[str, Split]) -> None:
    for name in ("champion", "challenger"):
        (tmp_path / name).mkdir()
    directories = {name: tmp_path / name for name in ("champion", "challenger")}
    drift = compare_deliveries(directories, splits["test"], "baseline")
    assert (drift.comparisons, drift.lookalikes, len(drift.notes)) == ({}, None, 2)
    write_drift_page(tmp_path / "drift.html", drift, splits["test"], "baseline")


def test_older_shards_have_unknown_looks_and_are_compared_in_what_is_known(
    tmp_path: Path, splits: dict[str, Split]
) -> None:
    drift = drift_of(tmp_path, splits, made_split(tmp_path / "new", range(800), looks=False))
    found = levels(drift, "delivery")
    assert (found["count"], found["source"]) == ("stable", "stable")
    assert {found[name] for name in ("long_side", "aspect", "brightness", "contrast", "blur")} == {"not comparable"}
    assert drift.lookalikes is None


def test_photos_stored_with_another_side_are_not_compared_in_sharpness(
    tmp_path: Path, splits: dict[str, Split]
) -> None:
    new = split_profile(made_split(tmp_path / "new", range(400), side=80))
    found = {feature.name: feature for feature in compare("x", "x", split_profile(splits["old"]), new).features}
    assert (found["long_side"].level, found["aspect"].level) == ("stable", "stable")
    assert found["blur"].reason == "photos were stored with 40 and 80 pixels"


def test_test_photos_that_look_like_trained_ones_are_named(tmp_path: Path, splits: dict[str, Split]) -> None:
    test = splits["test"]
    looks = [look(int(photo.id), 120) for photo in test.photos]
    trained = look(17, 120)
    looks[3] = replace(trained, rows_hash=trained.rows_hash ^ 0b101)
    looks[8] = replace(trained, contrast=1.0)  # too flat to mean anything
    write_looks(test.directory, 0, 1, [look_rows(test.photos, looks)])
    drift = drift_of(tmp_path, splits, splits["old"])
    (alike,) = drift.lookalikes or ()
    assert (alike.photo.id, alike.content, alike.split, alike.count) == ("09003", 17, "train", 17 % 5 + 1)
    assert alike.distance == 2
    assert any("1 test photos look the same" in text for text in drift.warnings)
    (note,) = drift.notes
    assert note.startswith("1 test photos could not be compared with the training photos (too flat")
    write_drift_page(tmp_path / "drift.html", drift, test, "group/7")
    assert "09003" in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_a_search_that_was_cut_is_not_called_none(
    tmp_path: Path, splits: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 1)
    test = splits["test"]
    write_looks(test.directory, 0, 1, [look_rows(test.photos, [look(1, 120)] * len(test.photos))])
    drift = drift_of(tmp_path, splits, splits["old"])
    assert drift.notes == ("too many photos look the same to find all of them: look-alikes may be missing",)
    write_drift_page(tmp_path / "drift.html", drift, test, "group/7")
    assert drift.notes[0] in (tmp_path / "drift.html").read_text(encoding="utf-8")


def test_what_a_model_keeps_is_the_same_on_every_run_and_comes_back(tmp_path: Path, splits: dict[str, Split]) -> None:
    one = made_model(tmp_path / "one", splits["old"], splits["validation"])
    two = made_model(tmp_path / "two", splits["old"], splits["validation"])
    for name in (DATA_FILE, PHOTOS_FILE):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    back = Delivery.read(one)
    assert back is not None
    assert back.profiles["train"] == split_profile(splits["old"])
    assert back.profiles["train"].worth == 400, "each in a group of its own"
    assert back.without(np.zeros(0, dtype=np.uint64)) == back.profiles["train"]
    assert back.rows["rows_hash"][:400].tolist() == read_looks(splits["old"])["rows_hash"].tolist()


@pytest.mark.parametrize("damage", ["cut photos", "no photos", "json", "other format"])
def test_a_damaged_profile_is_an_error_with_a_remedy(tmp_path: Path, splits: dict[str, Split], damage: str) -> None:
    model = made_model(tmp_path / "model", splits["old"], splits["validation"])
    photos, data = model / PHOTOS_FILE, model / DATA_FILE
    if damage == "cut photos":
        photos.write_bytes(photos.read_bytes()[:-9])
    elif damage == "no photos":
        photos.unlink()
    else:
        data.write_text("{" if damage == "json" else '{"format": "x"}')
    with pytest.raises(TallyError, match=r"data\.json or photos\.npy cannot be read .*train the model again"):
        Delivery.read(model)
    shutil.rmtree(model)


def test_the_evaluation_tells_drift_in_its_document_and_on_its_page(tmp_path: Path, splits: dict[str, Split]) -> None:
    paths = MlPaths(tmp_path / "ml")
    shutil.copytree(splits["test"].directory, paths.processing_input("test"))
    grown = made_split(tmp_path / "grown", range(800), bright=60)
    trained = {"challenger": grown, "champion": splits["old"], "baseline": grown}
    for name, train in trained.items():
        model = write_model(tmp_path / "models" / name)
        Delivery.of(train, splits["validation"]).write(model)
        TrainedOn.of(train, splits["validation"]).write(model)
        pack(model, paths.processing_input(name) / "model.tar.gz")
    main(["--champion-name", "group/7"], paths)
    output = paths.processing_output("evaluation")
    document = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    found = {comparison["name"]: comparison for comparison in document["drift"]["comparisons"]}
    assert document["drift"]["new_photos"] == 400
    assert {feature["name"]: feature["level"] for feature in found["new_photos"]["features"]}["brightness"] == "large"
    assert any(warning.startswith("What group/7 was trained on") for warning in document["warnings"])
    assert "What group/7 was trained on, and the photos that are new since" in (output / "drift.html").read_text()
