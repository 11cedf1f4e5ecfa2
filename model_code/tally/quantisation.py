"""The int8 copy of an exported model: the body of its network in int8, what is before and behind it as it was.

Weights have a scale for each output channel, activations one for each tensor, from what training photos make of them.
Needs `onnx`, so it is for training jobs; what it makes runs in ONNX Runtime like any other model.
"""

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from tally.errors import TallyError

_LAYER = "Conv"
_BESIDE = ("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu")
"""What int8 numbers pass through between two layers without becoming float again."""

_BATCH = 8

Photos = npt.NDArray[np.uint8]


class Quantiser:
    """Makes int8 copies of one model; the ranges of its activations are measured once, on `photos` uint8 [n, S, S, 3].

    TallyError when the model has no convolution: nothing else is made int8 here.
    """

    def __init__(self, model: onnx.ModelProto, photos: Photos) -> None:
        self._model = onnx.shape_inference.infer_shapes(_folded(model))
        nodes = list(self._model.graph.node)
        places = [place for place, node in enumerate(nodes) if node.op_type == _LAYER]
        if not places:
            raise TallyError("the model has no convolution, and only those are made int8: set low_precision=off")
        self.layers = tuple(nodes[place].name for place in places)
        """Names of the convolutions, from the photo on."""
        behind = next((at for at in range(places[-1] + 1, len(nodes)) if nodes[at].op_type not in _BESIDE), len(nodes))
        self._body = [node.name for node in nodes[places[0] : behind] if node.op_type in (_LAYER, *_BESIDE)]
        self._ranges = _ranges(self._model, photos)

    def int8(self, left: Collection[str] = ()) -> onnx.ModelProto:
        """A copy in int8, but for the layers `left`."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self._model)
        quantiser = QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,  # 8 bits on every CPU, as `predictor.open_session` sees to it
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[name for name in self._body if name not in left],
            nodes_to_exclude=[],
            op_types_to_quantize=[_LAYER, *_BESIDE],
            extra_options={},
        )
        quantiser.quantize_model()
        quantiser.model.topological_sort()
        made: onnx.ModelProto = quantiser.model.model
        onnx.checker.check_model(made)
        return made


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with ONNX Runtime's basic optimisations.

    They fold batch normalisation into the convolution before it, also where members of an ensemble share that, which
    the exporter leaves; what stays between two layers in float would cost more than int8 saves.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="tally-int8-") as folder:
        file = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(file)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = onnx.load(file)
    del found.opset_import[:]  # of every domain that ONNX Runtime knows
    found.opset_import.extend(model.opset_import)
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
    def __init__(self, photos: Photos) -> None:
        self._batches: Iterator[Photos] = iter([photos])

    def get_next(self) -> dict[str, Photos] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"photos": batch}


def _ranges(model: onnx.ModelProto, photos: Photos) -> Any:
    """Smallest and largest value of every tensor that may become int8."""
    with tempfile.TemporaryDirectory(prefix="tally-int8-") as folder:
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, plain)
        calibrator = create_calibrator(
            plain,
            [_LAYER, *_BESIDE],
            augmented_model_path=str(Path(folder) / "watched.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        for first in range(0, len(photos), _BATCH):
            calibrator.collect_data(_Reader(photos[first : first + _BATCH]))
        return calibrator.compute_data()
