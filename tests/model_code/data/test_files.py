"""No half files, and errors that say which path and what to do."""

from pathlib import Path

import pytest

from tally.data.files import make_folder, replacing
from tally.errors import TallyError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".shard.tar.partial").symlink_to("/dev/full")
    with pytest.raises(TallyError) as caught, replacing(tmp_path / "shard.tar") as file:
        file.write(b"x")
    path = tmp_path / "shard.tar"
    assert str(caught.value) == (
        f"cannot write {path}: No space left on device; give the job a larger volume, or free space"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nobody_may_write_is_named() -> None:
    message = r"cannot write /sys/tally\.json: .*; (let the user|mount the output)"
    with pytest.raises(TallyError, match=message), replacing(Path("/sys/tally.json")) as file:
        file.write(b"x")


def test_a_folder_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TallyError, match="file/folder: Not a directory; remove the file that stands where"):
        make_folder(tmp_path / "file" / "folder")
