"""Model archives: what belongs in one comes out, and nothing else."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tally.errors import TallyError
from tally.evaluation.unpack import unpack_model
from tests.model_code.tiny_model import pack, write_model

Change = Callable[[tarfile.TarFile], None]


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> Change:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member("../../escaped"), "'../../escaped' leaves the model's directory"),
        (member("/escaped"), "'/escaped' leaves the model's directory"),
        (member("a/../../escaped"), "leaves the model's directory"),
        (member("code\\..\\escaped"), "leaves the model's directory"),
        (member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"), "'link' is a link or a special file"),
        (member("hard", kind=tarfile.LNKTYPE, link="model.json"), "'hard' is a link or a special file"),
        (member("pipe", kind=tarfile.FIFOTYPE), "'pipe' is a link or a special file"),
        (member("disk", kind=tarfile.BLKTYPE), "'disk' is a link or a special file"),
    ],
    ids=["path escape", "absolute", "hidden escape", "backslash", "symbolic link", "hard link", "pipe", "device"],
)
def test_an_archive_that_reaches_out_is_refused_whole(tmp_path: Path, change: Change, message: str) -> None:
    archive = tmp_path / "in" / "model.tar.gz"
    pack(write_model(tmp_path / "model"), archive)
    with tarfile.open(archive) as tar:
        members = {m.name: tar.extractfile(m) for m in tar if m.isreg()}
        contents = {name: file.read() for name, file in members.items() if file}
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            member(name, content)(tar)
        change(tar)
    with pytest.raises(TallyError, match="refused") as caught:
        unpack_model(archive, tmp_path / "out" / "deep")
    assert message in str(caught.value)
    assert str(archive) in str(caught.value)
    assert list((tmp_path / "out" / "deep").iterdir()) == []
    assert not list(tmp_path.rglob("escaped"))


def test_an_archive_without_the_model_is_refused(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "model")
    (directory / "model.onnx").unlink()
    with pytest.raises(TallyError, match=r"has no model\.onnx"):
        unpack_model(pack(directory, tmp_path / "model.tar.gz"), tmp_path / "out")


@pytest.mark.parametrize("content", [None, b"no archive", b""], ids=["truncated", "text", "empty"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    archive = pack(write_model(tmp_path / "model"), tmp_path / "model.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(TallyError, match="cannot be unpacked"):
        unpack_model(archive, tmp_path / "out")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tally.evaluation.unpack.MAX_BYTES", 100)
    archive = pack(write_model(tmp_path / "model"), tmp_path / "model.tar.gz")
    with pytest.raises(TallyError, match="unpacks to more than 100 bytes"):
        unpack_model(archive, tmp_path / "out")
