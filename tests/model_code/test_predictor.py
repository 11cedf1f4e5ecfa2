"""Photo bytes in, count out; and every kind of file that must be refused."""

import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from tally.errors import TallyError
from tally.letterbox import FILL, PREPROCESSING
from tally.predictor import BadPhoto, Limits, Predictor, _adds_up_in_32_bits, decode
from tests.model_code.tiny_model import description, photo, write_model
from tests.shared import shared_dir

LIMITS = Limits()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(model_dir: Path) -> Predictor:
    return Predictor.load(model_dir)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: a decompression bomb in 60 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_each_format_is_counted(predictor: Predictor, format: str, count: int) -> None:
    found = predictor.predict(photo(red=count, format=format))
    assert found.count == count
    assert found.confidence == max(found.probabilities)
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)
    assert found.as_dict()["probabilities"].keys() == {"1", "2", "3", "4", "5"}


def test_the_models_name_is_that_of_its_file(predictor: Predictor, model_dir: Path, tmp_path: Path) -> None:
    assert predictor.model == Predictor.load(model_dir).model
    assert predictor.model != Predictor.load(write_model(tmp_path, "green")).model
    assert len(predictor.model) == 12


def test_a_batch_gives_what_each_photo_gives_alone(predictor: Predictor) -> None:
    photos = [photo(red=count) for count in (1, 2, 3, 4, 5)]
    together = predictor.probabilities(np.stack([predictor.decode(one) for one in photos]))
    assert together.dtype == np.float32
    for row, one in zip(together, photos, strict=True):
        assert predictor.predict(one).probabilities == pytest.approx(tuple(row.tolist()), abs=1e-6)


def test_threads_may_share_one_predictor(predictor: Predictor) -> None:
    counts = [1 + i % 5 for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda count: predictor.predict(photo(red=count)).count, counts))
    assert found == counts


def test_a_memory_mapped_photo_needs_no_copy(predictor: Predictor) -> None:
    assert predictor.predict(memoryview(photo(red=4))).count == 4


def test_serving_runs_one_thread_inside_an_inference(predictor: Predictor) -> None:
    assert predictor._session.get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize(
    ("flags", "exact"), [("avx512f avx512_vnni", True), ("avx2 avx_vnni", True), ("avx2 avx512f", False), (None, False)]
)
def test_cpus_on_which_int8_would_overflow_are_known(tmp_path: Path, flags: str | None, exact: bool) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor: 0\nflags: fpu {flags} amx_int8\n")
    assert _adds_up_in_32_bits(tmp_path / "cpuinfo") == exact


def test_every_photo_of_the_public_bucket_is_decoded(predictor: Predictor) -> None:
    files = sorted((shared_dir("abid/aft-vbi-pds") / "bin-images").glob("*.jpg"))
    assert len(files) == 256
    for file in files:
        assert predictor.decode(file.read_bytes()).shape == (32, 32, 3)


JPEG = photo(red=2, side=64)
GREY = Image.new("L", (64, 64), 90)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"", "empty", 400),
        (b"x" * (LIMITS.max_bytes + 1), "too_large", 413),
        (b"a text file named photo.jpg", "unsupported_format", 415),
        (encoded(GREY, "GIF"), "unsupported_format", 415),
        (encoded(GREY, "TIFF"), "unsupported_format", 415),
        (encoded(GREY, "BMP"), "unsupported_format", 415),
        (encoded(GREY, "PDF"), "unsupported_format", 415),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format", 415),
        (JPEG[: len(JPEG) // 2], "undecodable", 422),
        (encoded(Image.effect_noise((64, 64), 90), "PNG")[:-400], "undecodable", 422),
        (encoded(Image.effect_noise((64, 64), 90), "WEBP")[:-400], "undecodable", 422),
        (png_header_only(10_000, 10_000), "too_many_pixels", 422),
        (png_header_only(30_000, 30_000), "too_many_pixels", 422),
        (png_header_only(64, 64), "undecodable", 422),
        (JPEG[:3] + b"\xff" * 300, "unsupported_format", 415),
    ],
    ids=[
        "zero bytes", "oversize", "text", "gif", "tiff", "bmp", "pdf", "svg", "truncated jpeg", "truncated png",
        "truncated webp", "100 megapixels", "900 megapixels", "png without pixels", "jpeg magic only",
    ],
)  # fmt: skip
def test_bad_photos_are_refused_with_a_code_and_a_status(body: bytes, code: str, status: int) -> None:
    with pytest.raises(BadPhoto) as caught:
        decode(body, 32, LIMITS)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert str(caught.value)


def test_a_real_hundred_megapixel_photo_is_refused_without_being_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encoded(Image.new("1", (10_000, 10_000)), "PNG")
    monkeypatch.setattr(Image.Image, "resize", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(BadPhoto, match="limit is 50000000 pixels"):
        decode(body, 32, LIMITS)


def test_limits_are_settings_and_inclusive() -> None:
    body = photo(red=2, side=64, format="PNG")
    assert decode(body, 32, Limits(max_bytes=len(body), max_pixels=64 * 64)).shape == (32, 32, 3)
    with pytest.raises(BadPhoto, match="64 x 64, the limit is 4095 pixels"):
        decode(body, 32, Limits(max_pixels=64 * 64 - 1))
    with pytest.raises(BadPhoto, match=f"the limit is {len(body) - 1}"):
        decode(body, 32, Limits(max_bytes=len(body) - 1))


def test_cmyk_sixteen_bit_and_palette_photos_are_counted(predictor: Predictor) -> None:
    grey = 40 * 3 + 10
    cmyk = encoded(Image.new("RGB", (40, 40), (grey, 10, 10)).convert("CMYK"), "JPEG", quality=95)
    deep = encoded(Image.fromarray(np.full((40, 40), grey * 257, dtype=np.uint16)), "PNG")
    palette = encoded(Image.new("RGB", (40, 40), (grey, 10, 10)).quantize(4), "PNG")
    assert [predictor.predict(body).count for body in (cmyk, deep, palette)] == [3, 3, 3]


@pytest.mark.parametrize("format", ["WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_counted(predictor: Predictor, format: str) -> None:
    frames = [Image.new("RGB", (40, 40), (40 * count + 10, 50, 50)) for count in (4, 1, 1)]
    body = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    assert predictor.predict(body).count == 4


def test_of_a_phones_jpeg_with_a_preview_the_photo_is_counted(predictor: Predictor) -> None:
    photos = [Image.new("RGB", (40, 40), (40 * count + 10, 50, 50)) for count in (2, 5)]
    body = encoded(photos[0], "MPO", save_all=True, append_images=photos[1:])
    assert predictor.predict(body).count == 2


def test_exif_rotation_is_applied_before_letterboxing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = encoded(Image.new("RGB", (80, 40), (200, 0, 0)), "JPEG", exif=exif)
    square = decode(body, 32, LIMITS).astype(int)
    assert np.abs(square[:, :6] - FILL).max() < 3  # upright it is 40 x 80: bars left and right
    assert square[2, 16, 0] > 180


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("block", [b"MM\x00*\xff\xff\xff\xff", b"no TIFF at all", b"II*\x00"])
def test_a_damaged_exif_block_does_not_spoil_a_sound_photo(block: bytes) -> None:
    body = encoded(Image.new("RGB", (40, 40)), "JPEG", exif=b"Exif\x00\x00" + block)
    assert decode(body, 32, LIMITS).shape == (32, 32, 3)


def changed(key: str, value: object) -> str:
    return json.dumps(description() | {key: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("format", "tally-model/9"), "format is 'tally-model/9'"),
        (changed("counts", [0, 1, 2]), "counts is"),
        (changed("preprocessing", {"fit": "squash"}), "'fit': 'squash'}, this version"),
        (changed("preprocessing", "squash"), "preprocessing is 'squash'"),
        (changed("preprocessing", PREPROCESSING | {"stretch": 0.5}), "preprocessing.stretch is 0.5"),
        (changed("preprocessing", PREPROCESSING | {"stretch": "2"}), "preprocessing.stretch is '2'"),
        (changed("precision", "int4"), "precision is 'int4', it must be one of: fp32, int8"),
        (changed("precision", ["int8"]), "precision is ['int8']"),
        (changed("image_size", "224"), "image_size is '224'"),
        (changed("image_size", 64), "says image_size 64: export it again"),
        ("not json", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds list, not an object"),
    ],
    ids=[
        "format",
        "counts",
        "preprocessing",
        "preprocessing as text",
        "stretch",
        "stretch as text",
        "precision",
        "precision as a list",
        "size as text",
        "another size",
        "no JSON",
        "too deep",
        "a list",
    ],
)
def test_a_description_of_another_format_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_model(tmp_path)
    (tmp_path / "model.json").write_text(text, encoding="utf-8")
    with pytest.raises(TallyError) as caught:
        Predictor.load(tmp_path)
    assert message in str(caught.value)
    assert "model.json" in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_model(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TallyError, match=rf"cannot read .*{name} \(No such file"):
        Predictor.load(tmp_path)


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(TallyError, match=r"model\.onnx is not a model that ONNX Runtime can run"):
        Predictor.load(tmp_path)


def test_a_model_with_parts_in_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hash covers them, and who writes to them changes what is served."""
    model = onnx.load(write_model(tmp_path) / "model.onnx")
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=50)
    assert (tmp_path / "weights.bin").stat().st_size > 0
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TallyError, match=r"model\.onnx is not a model .*train again or fetch it anew.*External data"):
        Predictor.load(tmp_path)


def test_an_onnx_with_other_inputs_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    model.graph.input[0].name = model.graph.node[0].input[0] = "images"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(TallyError, match="has inputs and outputs"):
        Predictor.load(tmp_path)


def test_a_model_that_answers_nan_is_an_error_not_a_count(tmp_path: Path) -> None:
    write_model(tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(5, np.nan, dtype=np.float32), "bias"))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(TallyError, match="where probabilities should be"):
        Predictor.load(tmp_path).predict(photo(red=1))
