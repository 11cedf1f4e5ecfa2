"""What is written can be read back, from any process, and damage is named."""

import json
import multiprocessing
import pickle
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tally.data.shard_writer import Prepared, write_manifest_lines, write_part, write_shard, write_split
from tally.data.shards import Photo, Split, manifest_name
from tally.errors import TallyError


def prepared(number: int) -> Prepared:
    return Prepared(
        id=f"{number:05d}",
        count=number % 5 + 1,
        group=f"block:{number // 20}",
        source="",
        sha256=f"{number:064x}",
        width=40,
        height=30,
        jpeg=bytes([number]) * (1000 + number),
    )


def write_two_parts(directory: Path) -> None:
    directory.mkdir()
    for part in (0, 1):
        shards, photos = [], []
        for index in (part, part + 2):
            shard, written = write_shard(directory, index, [prepared(number) for number in range(index, 40, 4)])
            shards.append(shard)
            photos += written
        with (directory / manifest_name(part, 2)).open("wb") as file:
            write_manifest_lines(file, photos)
        write_part(directory, split="train", part=part, parts=2, stored_side=40, shards=shards)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_two_parts(tmp_path / "train")
    return tmp_path / "train"


def read_all(split: Split) -> list[bytes]:
    return [bytes(split.jpeg(index)) for index in range(len(split))]


def test_every_photo_comes_back_sorted_by_id(directory: Path) -> None:
    split = Split.open(directory)
    assert [photo.id for photo in split.photos] == [f"{number:05d}" for number in range(40)]
    assert read_all(split) == [prepared(number).jpeg for number in range(40)]
    assert split.photos[7].group == "block:0"
    assert split.stored_side == 40


def test_shards_are_ordinary_tars_of_photo_and_label(directory: Path) -> None:
    with tarfile.open(directory / "shard-00001.tar") as tar:
        assert tar.getnames()[:2] == ["00001.jpg", "00001.json"]
        member = tar.extractfile("00005.json")
        assert member is not None
        assert json.load(member) == {"count": 1, "group": "block:0"}
        assert {(item.mtime, item.uid, item.gid, item.mode) for item in tar} == {(0, 0, 0, 0o644)}


def test_long_and_foreign_ids_survive(tmp_path: Path) -> None:
    ids = ["ü" * 90, "x" * 200, "ид 1", "٣"]
    photos = [replace(prepared(3), id=key) for key in ids]
    write_split(tmp_path, photos, split="train", stored_side=40)
    split = Split.open(tmp_path)
    assert [photo.id for photo in split.photos] == sorted(ids)
    assert read_all(split) == [prepared(3).jpeg] * 4
    with tarfile.open(tmp_path / "shard-00000.tar") as tar:
        assert {name.removesuffix(".jpg") for name in tar.getnames() if name.endswith(".jpg")} == set(ids)


def test_a_pickled_split_is_a_path_and_reads_the_same(directory: Path) -> None:
    split = Split.open(directory)
    split.jpeg(0)
    assert len(pickle.dumps(split)) < 400
    assert read_all(pickle.loads(pickle.dumps(split))) == read_all(split)  # noqa: S301


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_photos(directory: Path, method: str) -> None:
    split = Split.open(directory)
    expected = read_all(split)  # maps are open when the fork happens
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_all, [split] * 4) == [expected] * 4


def test_the_hash_names_the_content_not_the_shards(directory: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    write_split(one, [prepared(number) for number in range(40)], split="train", stored_side=40)
    assert Split.open(one).sha256 == Split.open(directory).sha256
    for change in ({"count": 4}, {"group": "block:9"}, {"sha256": "0"}, {"id": "00099"}):
        other = tmp_path / str(change)
        other.mkdir()
        photos = [prepared(number) for number in range(39)]
        write_split(other, [*photos, replace(prepared(39), **change)], split="train", stored_side=40)
        assert Split.open(other).sha256 != Split.open(directory).sha256


def broken(directory: Path) -> str:
    with pytest.raises(TallyError) as caught:
        Split.open(directory)
    return str(caught.value)


def test_a_missing_shard_is_named(directory: Path) -> None:
    (directory / "shard-00002.tar").unlink()
    assert "shard-00002.tar: No such file" in broken(directory)


def test_a_cut_shard_is_named_with_both_sizes(directory: Path) -> None:
    path = directory / "shard-00002.tar"
    path.write_bytes(path.read_bytes()[:-512])
    assert re.search(r"shard-00002.tar: \d+ bytes where the part file says \d+", broken(directory))


def test_a_flipped_bit_is_found(directory: Path) -> None:
    path = directory / "shard-00001.tar"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    assert "shard-00001.tar: content does not match the hash" in broken(directory)


def test_a_missing_part_is_named(directory: Path) -> None:
    (directory / "part-00001-of-00002.json").unlink()
    assert "part-00001-of-00002.json of 2 parts missing" in broken(directory)


def test_parts_of_two_runs_are_told_apart(directory: Path) -> None:
    write_part(directory, split="train", part=0, parts=1, stored_side=40, shards=[])
    assert "parts of runs with [1, 2] instances" in broken(directory)


def test_parts_of_two_sizes_are_told_apart(directory: Path) -> None:
    write_part(directory, split="train", part=0, parts=2, stored_side=50, shards=[])
    assert "different sides [40, 50]" in broken(directory)


def test_a_missing_or_broken_manifest_is_named(directory: Path) -> None:
    manifest = directory / "manifest-00000-of-00002.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]))
    assert "manifest-00000-of-00002.jsonl: lists 19 photos" in broken(directory)
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert "manifest-00000-of-00002.jsonl: not a manifest" in broken(directory)
    manifest.unlink()
    assert "manifest-00000-of-00002.jsonl: not a manifest" in broken(directory)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "tally-shards/9"}'])
def test_a_part_of_another_format_is_named(directory: Path, content: bytes) -> None:
    (directory / "part-00000-of-00002.json").write_bytes(content)
    assert "part-00000-of-00002.json: not a part file of the format tally-shards/1" in broken(directory)


def test_an_empty_folder_says_what_belongs_there(tmp_path: Path) -> None:
    assert "no prepared photos here" in broken(tmp_path)


def test_a_split_without_photos_says_so(tmp_path: Path) -> None:
    write_split(tmp_path, [], split="test", stored_side=40)
    assert "the split holds no photos" in broken(tmp_path)


def test_a_photo_says_where_it_lies(directory: Path) -> None:
    photo = Split.open(directory).photos[6]
    assert isinstance(photo, Photo)
    content = (directory / photo.shard).read_bytes()
    assert content[photo.offset : photo.offset + photo.size] == prepared(6).jpeg
