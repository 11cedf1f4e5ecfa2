"""A model and photos for tests, no training needed: the mean of one colour channel says the count.

A photo made by `photo(red=2, green=5)` is counted as 2 by the red model and as 5 by the green one, so a test decides
what every model answers.
"""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from tally.data.shard_writer import Prepared, write_split
from tally.labels import COUNTS
from tally.letterbox import FILL

CHANNELS = ("red", "green", "blue")
_SIZE = 32


def level(count: int) -> int:
    """The brightness that means `count`."""
    return 40 * count + 10


def photo(*, red: int, green: int = 1, blue: int = 1, format: str = "JPEG", side: int = _SIZE) -> bytes:
    """An encoded square photo of one colour."""
    out = io.BytesIO()
    color = (level(red), level(green), level(blue))
    Image.new("RGB", (side, side), color).save(out, format, **({"quality": 95} if format == "JPEG" else {}))
    return out.getvalue()


def write_model(directory: Path, channel: str = "red", size: int = _SIZE, sharpness: float = 100.0) -> Path:
    """Write model.onnx and model.json; the larger `sharpness`, the less sure the model is."""
    directory.mkdir(parents=True, exist_ok=True)
    centres = np.array([level(count) for count in COUNTS], dtype=np.float32)
    weights = np.zeros((3, len(COUNTS)), dtype=np.float32)
    # softmax of -(x - centre)^2 / sharpness, without the x^2 that all share
    weights[CHANNELS.index(channel)] = 2 * centres / sharpness
    nodes = [
        helper.make_node("Cast", ["photos"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["means"], keepdims=0),
        helper.make_node("Gemm", ["means", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    initializers = [
        onnx.numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "axes"),
        onnx.numpy_helper.from_array(weights, "weights"),
        onnx.numpy_helper.from_array(-(centres**2) / np.float32(sharpness), "bias"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(COUNTS)])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, directory / "model.onnx")
    (directory / "model.json").write_text(json.dumps(description(size)), encoding="utf-8")
    return directory


def description(size: int = _SIZE) -> dict[str, Any]:
    """What model.json holds."""
    return {
        "format": "tally-model/1",
        "counts": list(COUNTS),
        "backbone": "tiny",
        "image_size": size,
        "preprocessing": {"fit": "letterbox", "fill": list(FILL), "resample": "bilinear"},
    }


def pack(directory: Path, archive: Path) -> Path:
    """Pack a model directory as SageMaker does: names begin with ./"""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory, arcname=".")
    return archive


def write_test_split(
    directory: Path,
    true: Sequence[int],
    red: Sequence[int],
    green: Sequence[int],
    blue: Sequence[int],
    groups: Sequence[str],
) -> Path:
    """Write a prepared test split whose photos make the three models answer as given."""
    photos = [
        Prepared(
            id=f"{index:05d}",
            count=count,
            group=group,
            source="test",
            sha256=f"{index:064x}",
            width=_SIZE,
            height=_SIZE,
            jpeg=photo(red=red[index], green=green[index], blue=blue[index]),
        )
        for index, (count, group) in enumerate(zip(true, groups, strict=True))
    ]
    directory.mkdir(parents=True, exist_ok=True)
    write_split(directory, photos, split="test", stored_side=_SIZE)
    return directory
