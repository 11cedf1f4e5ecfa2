"""Compressed bodies are unpacked as far as a photo may reach, and no further."""

import contextlib
import gzip
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)

PACKED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "DEFLATE ": lambda body: zlib.compress(body, wbits=-15),
    "identity": bytes,
    "": bytes,
}


@pytest.fixture
def decoding(load: Any) -> Any:
    (module,) = load("api", "decoding")
    return module


@given(data=st.data(), body=st.binary(max_size=3000), encoding=st.sampled_from(sorted(PACKED)))
@quick
def test_a_body_is_the_same_however_it_arrives(decoding: Any, data: Any, body: bytes, encoding: str) -> None:
    packed = PACKED[encoding](body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=8)))
    chunks = [packed[start:end] for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    assert decoding.decode(chunks, encoding, 3000) == body
    if body:
        with pytest.raises(decoding.TooManyBytesError):
            decoding.decode(chunks, encoding, len(body) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_cut_off_anywhere_is_no_photo(decoding: Any, encoding: str) -> None:
    packed = PACKED[encoding](bytes(range(256)))
    for length in range(len(packed)):
        with pytest.raises(decoding.RemoteError, match="broke off"):
            decoding.decode([packed[:length]], encoding, 1000)


@given(packed=st.binary(max_size=200), encoding=st.sampled_from(["gzip", "deflate", "br", "gzip, gzip", "\x00"]))
@quick
def test_anything_else_is_refused_or_read(decoding: Any, packed: bytes, encoding: str) -> None:
    with contextlib.suppress(decoding.RemoteError, decoding.TooManyBytesError):
        assert len(decoding.decode([packed], encoding, 100)) <= 100


@pytest.mark.parametrize("more", [b"x", gzip.compress(b"more"), bytes(1000)], ids=["a byte", "a member", "zeros"])
def test_nothing_may_follow_a_compressed_body(decoding: Any, more: bytes) -> None:
    packed = gzip.compress(b"photo")
    for chunks in ([packed + more], [packed, more]):
        with pytest.raises(decoding.RemoteError, match="damaged"):
            decoding.decode(chunks, "gzip", 1000)


def test_a_bomb_takes_no_more_memory_than_a_photo(decoding: Any) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(50)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(decoding.TooManyBytesError):
            decoding.decode([bomb], "gzip", 1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
