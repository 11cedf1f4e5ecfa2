"""Headers of shards are tarfile's own, byte for byte."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.data.shard_writer import TarWriter, tar_header


def tarfiles(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@given(st.text(max_size=130) | st.text("0123456789abc./-", max_size=130), st.integers(0, 2**36))
def test_a_header_is_what_tarfile_writes(name: str, size: int) -> None:
    assert tar_header(name, size) == tarfiles(name, size)


@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11])
@pytest.mark.parametrize("name", ["", "00001.jpg", "a" * 100, "a" * 101, "bücher.jpg", "\udcff.jpg"])
def test_so_it_is_at_the_borders_of_what_a_plain_one_holds(name: str, size: int) -> None:
    assert tar_header(name, size) == tarfiles(name, size)


def test_members_lie_where_they_are_said_to_and_tarfile_reads_them() -> None:
    stream, content = io.BytesIO(), {"00001.jpg": b"x" * 700, f"{'a' * 120}.json": b"", "ü.jpg": b"y"}
    writer = TarWriter(stream)
    places = {name: writer.member(name, data) for name, data in content.items()}
    writer.close()
    whole = stream.getvalue()
    assert writer.bytes == len(whole)
    assert {name: whole[at : at + len(content[name])] for name, at in places.items()} == content
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert [member.name for member in tar.getmembers()] == list(content)
