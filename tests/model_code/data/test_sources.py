"""What a prefix holds, and what is said about one that is not as it should be."""

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.data.sources import Entry, RejectedError, read_source
from tally.errors import TallyError
from tests.shared import shared_dir


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., None]:
    def create(*names: str, content: str = "x") -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)

    return create


Touch = Callable[..., None]


def metadata_rejection(root: Path, content: bytes) -> tuple[str, str]:
    (root / "metadata").mkdir(exist_ok=True)
    (root / "metadata/7.json").write_bytes(content)
    with pytest.raises(RejectedError) as caught:
        read_source(root).label(Entry("7", "bin-images", "7.jpg"))
    return caught.value.reason, caught.value.detail


def test_the_public_layout_takes_its_label_from_the_metadata(tmp_path: Path, touch: Touch) -> None:
    touch("bin-images/01044.jpg", "bin-images/1044.jpg", "bin-images/.DS_Store")
    touch("metadata/01044.json", content='{"EXPECTED_QUANTITY": 3}')
    touch("metadata/1044.json", content='{"EXPECTED_QUANTITY": 5}')
    source = read_source(tmp_path)
    assert [(entry.id, source.label(entry)) for entry in source.entries] == [("01044", 3), ("1044", 5)]
    assert source.warnings == ()


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b"{", "metadata_invalid", "metadata/7.json is not JSON"),
        (b"\xff\xfe", "metadata_invalid", "metadata/7.json is not JSON"),
        (b"[" * 100_000, "metadata_invalid", "metadata/7.json is not JSON"),
        (b"[3]", "metadata_invalid", "metadata/7.json is not a JSON object"),
        (b'{"quantity": 3}', "label_missing", "metadata/7.json has no EXPECTED_QUANTITY"),
        (b'{"EXPECTED_QUANTITY": 0}', "label_out_of_range", "EXPECTED_QUANTITY is 0, not a whole number from 1 to 5"),
        (b'{"EXPECTED_QUANTITY": 6}', "label_out_of_range", "EXPECTED_QUANTITY is 6,"),
        (b'{"EXPECTED_QUANTITY": "three"}', "label_out_of_range", 'EXPECTED_QUANTITY is "three",'),
        (b'{"EXPECTED_QUANTITY": 2.5}', "label_out_of_range", "EXPECTED_QUANTITY is 2.5,"),
        (b'{"EXPECTED_QUANTITY": true}', "label_out_of_range", "EXPECTED_QUANTITY is true,"),
        (b'{"EXPECTED_QUANTITY": null}', "label_out_of_range", "EXPECTED_QUANTITY is null,"),
        (b'{"EXPECTED_QUANTITY": [3]}', "label_out_of_range", "EXPECTED_QUANTITY is [3],"),
    ],
    ids=["cut", "binary", "deep", "list", "no key", "0", "6", "three", "2.5", "true", "null", "in a list"],
)
def test_metadata_that_is_no_label_says_why(
    tmp_path: Path, touch: Touch, content: bytes, reason: str, detail: str
) -> None:
    touch("bin-images/7.jpg")
    found = metadata_rejection(tmp_path, content)
    assert found[0] == reason
    assert found[1].startswith(detail)


def test_a_photo_without_metadata_says_so(tmp_path: Path, touch: Touch) -> None:
    touch("bin-images/7.jpg", "metadata/8.json")
    source = read_source(tmp_path)
    with pytest.raises(RejectedError, match=r"no metadata/7\.json"):
        source.label(source.entries[0])
    assert source.warnings == ("1 metadata files have no photo in bin-images/",)


def test_class_folders_name_the_label(tmp_path: Path, touch: Touch) -> None:
    touch("1/00001.jpg", "5/00009.PNG", "0/a.jpg", "6/b.jpg", "three/c.jpg", "three/readme.md", "root.jpg", "notes.txt")
    source = read_source(tmp_path)
    labels, reasons = {}, {}
    for entry in source.entries:
        try:
            labels[entry.file] = source.label(entry)
        except RejectedError as error:
            reasons[entry.file] = (error.reason, error.detail)
    assert labels == {"1/00001.jpg": 1, "5/00009.PNG": 5}
    assert {file: reason for file, (reason, _) in reasons.items()} == {
        "0/a.jpg": "label_out_of_range",
        "6/b.jpg": "label_out_of_range",
        "three/c.jpg": "label_out_of_range",
        "root.jpg": "label_missing",
    }
    assert reasons["three/c.jpg"][1] == "class folder 'three' is not one of 1, 2, 3, 4, 5"


def test_folders_inside_class_folders_are_reported(tmp_path: Path, touch: Touch) -> None:
    touch("1/a1.jpg", "1/old/a2.jpg")
    assert read_source(tmp_path).warnings == ("folder 1/old is ignored: photos lie directly in 1/",)


def test_both_layouts_at_once_are_reported(tmp_path: Path, touch: Touch) -> None:
    touch("1/1.jpg", "bin-images/2.jpg")
    source = read_source(tmp_path)
    assert [entry.id for entry in source.entries] == ["2"]
    assert source.warnings == ("class folders 1 are ignored: the prefix has bin-images/ too",)


def test_one_id_in_two_class_folders_is_refused_in_both(tmp_path: Path, touch: Touch) -> None:
    touch("1/7.jpg", "4/7.jpg", "2/8.jpg")
    source = read_source(tmp_path)
    assert [entry.file for entry in source.entries] == ["2/8.jpg"]
    assert [(entry.file, why.reason) for entry, why in source.refused] == [
        ("1/7.jpg", "conflicting_labels"),
        ("4/7.jpg", "conflicting_labels"),
    ]


def test_one_id_with_two_suffixes_is_taken_once(tmp_path: Path, touch: Touch) -> None:
    touch("1/7.jpg", "1/7.png")
    source = read_source(tmp_path)
    assert [entry.file for entry in source.entries] == ["1/7.jpg"]
    assert [(entry.file, why.reason, why.detail) for entry, why in source.refused] == [
        ("1/7.png", "duplicate", "same id as 1/7.jpg")
    ]


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path, touch: Touch) -> None:
    touch("1/7.jpg", "1/bad\udcff.jpg", "1/new\nline.jpg")
    source = read_source(tmp_path)
    assert [entry.id for entry in source.entries] == ["7"]
    assert {why.reason for _, why in source.refused} == {"unreadable"}


def test_the_list_takes_a_subset_by_stem(tmp_path: Path, touch: Touch) -> None:
    touch("1/1.jpg", "1/2.jpg", "2/3.jpg")
    touch("file_list.json", content='{"1": ["data/metadata/1.json"], "2": ["data/metadata/3.json", "4.json"]}')
    source = read_source(tmp_path)
    assert [entry.id for entry in source.entries] == ["1", "3"]
    assert source.warnings == ("file_list.json names 1 photos that are not there",)


@pytest.mark.parametrize("content", ["", "[1]", '{"1": 3}', '{"1": [3]}'])
def test_a_list_of_another_form_is_an_error(tmp_path: Path, touch: Touch, content: str) -> None:
    touch("1/1.jpg")
    touch("file_list.json", content=content)
    with pytest.raises(TallyError, match=r"file_list\.json: expected JSON of the form"):
        read_source(tmp_path)


def test_groups_and_sources_are_read_by_id(tmp_path: Path, touch: Touch) -> None:
    touch("1/01.jpg", "1/1.jpg", "1/2.jpg")
    touch("groups.csv", content="\ufeffimage_id,label,group,source\n01,1,A,north\n1,1,B,\n2,1,,south\n")
    source = read_source(tmp_path)
    assert source.groups == {"01": "A", "1": "B"}
    assert source.origins == {"01": "north", "2": "south"}
    assert source.warnings == ("groups.csv has no group for 1 photos: they are grouped by blocks of ids",)


def test_groups_of_no_photo_and_photos_of_no_group_are_counted(tmp_path: Path, touch: Touch) -> None:
    touch("1/1.jpg", "1/2.jpg")
    touch("groups.csv", content="image_id,group\n1,A\n7,A\n8,B\n2,B\n")
    assert read_source(tmp_path).warnings == ("groups.csv names 2 photos that are not there",)
    touch("groups.csv", content="image_id,group\n")
    expected = ("groups.csv has no group for 2 photos: they are grouped by blocks of ids",)
    assert read_source(tmp_path).warnings == expected
    touch("groups.csv", content="image_id,group\n1,A\n2,B\n")
    touch("file_list.json", content='{"1": ["1.jpg"]}')
    assert read_source(tmp_path).warnings == (), "the file may be of more photos than the list takes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,bin\n1,A\n", r"needs the columns image_id and group, has \['id', 'bin'\]"),
        ("", "needs the columns image_id and group"),
        ("image_id,group\n1,A\n1,B\n", "image_id '1' is in groups 'A' and 'B'; keep one line"),
    ],
)
def test_groups_that_cannot_be_used_are_an_error(tmp_path: Path, touch: Touch, content: str, message: str) -> None:
    touch("1/1.jpg")
    touch("groups.csv", content=content)
    with pytest.raises(TallyError, match=message):
        read_source(tmp_path)


def test_groups_that_are_not_utf8_are_an_error(tmp_path: Path, touch: Touch) -> None:
    touch("1/1.jpg")
    (tmp_path / "groups.csv").write_bytes(b"image_id,group\n1,\xff\n")
    with pytest.raises(TallyError, match=r"groups\.csv: not readable as UTF-8 CSV"):
        read_source(tmp_path)


def test_a_prefix_of_another_layout_is_an_error_that_says_what_is_there(tmp_path: Path, touch: Touch) -> None:
    touch("images/1.jpg")
    with pytest.raises(TallyError, match=r"neither bin-images/ nor a class folder 1 to 5 here, only \['images'\]"):
        read_source(tmp_path)
    with pytest.raises(TallyError, match="no such folder"):
        read_source(tmp_path / "nowhere")


def test_an_empty_prefix_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bin-images").mkdir()
    with pytest.raises(TallyError, match="no photos found"):
        read_source(tmp_path)


def test_the_real_class_folders_agree_with_the_real_labels() -> None:
    folder = shared_dir("abid")
    source = read_source(folder / "images")
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["image_id"]: int(row["label"]) for row in csv.DictReader(file)}
    assert {entry.id: source.label(entry) for entry in source.entries} == labels


def test_the_real_bucket_layout_gives_every_photo_a_label() -> None:
    source = read_source(shared_dir("abid") / "aft-vbi-pds")
    assert sum(Counter(source.label(entry) for entry in source.entries).values()) == 256


def test_the_well_known_list_selects_the_photos_at_hand(tmp_path: Path) -> None:
    folder = shared_dir("abid")
    (tmp_path / "bin-images").symlink_to(folder / "aft-vbi-pds" / "bin-images")
    (tmp_path / "metadata").symlink_to(folder / "aft-vbi-pds" / "metadata")
    (tmp_path / "file_list.json").symlink_to(folder / "lists" / "file_list.json")
    listed = {
        Path(name).stem for names in json.loads((tmp_path / "file_list.json").read_text()).values() for name in names
    }
    assert {entry.id for entry in read_source(tmp_path).entries} <= listed
