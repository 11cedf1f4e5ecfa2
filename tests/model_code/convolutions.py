"""A small network of convolutions as ONNX, with weights from a seed: something to make int8."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tally.labels import COUNTS
from tests.model_code.tiny_model import description

SIDE = 32
LAYERS = ("first", "depthwise", "last")


def network(size: int = SIDE) -> onnx.ModelProto:
    """uint8 photos to probabilities: three convolutions, the second by channel, a mean and a linear layer."""
    chance = np.random.default_rng(0)
    weights = {
        "scale": np.float32(255),
        "first.weight": chance.normal(0, 0.4, (8, 3, 3, 3)),
        "first.bias": chance.normal(0, 0.1, 8),
        # channels of very different size: one scale for all would lose the small ones
        "depthwise.weight": chance.normal(0, 0.4, (8, 1, 3, 3)) * np.geomspace(0.05, 5, 8)[:, None, None, None],
        "last.weight": chance.normal(0, 0.4, (16, 8, 1, 1)),
        "linear.weight": chance.normal(0, 1, (16, len(COUNTS))),
    }
    nodes = [
        helper.make_node("Transpose", ["photos"], ["channels"], "turn", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["channels"], ["values"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["values", "scale"], ["scaled"], "div"),
        helper.make_node("Conv", ["scaled", "first.weight", "first.bias"], ["a"], "first", strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "depthwise.weight"], ["c"], "depthwise", group=8),
        helper.make_node("Relu", ["c"], ["d"], "relu_2"),
        helper.make_node("Conv", ["d", "last.weight"], ["e"], "last"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "mean"),
        helper.make_node("Flatten", ["f"], ["g"], "flat"),
        helper.make_node("MatMul", ["g", "linear.weight"], ["logits"], "linear"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(COUNTS)])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_network(directory: Path, size: int = SIDE) -> Path:
    """Write it as model.onnx with its model.json."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(network(size), directory / "model.onnx")
    (directory / "model.json").write_text(json.dumps(description(size)), encoding="utf-8")
    return directory


def noise(photos: int, seed: int = 0, size: int = SIDE) -> np.ndarray:
    """uint8 [photos, size, size, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (photos, size, size, 3), dtype=np.uint8)
