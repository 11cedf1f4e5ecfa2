"""What every peer does with a photo. Runs in the peers' own environments, with model_code on PYTHONPATH.

The photo is prepared by our own letterbox, so that all servers count the same pixels.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tally.letterbox import letterbox

_FOLDER = Path(os.environ["BENCH_ARTIFACT"])
_THREADS = int(os.environ.get("BENCH_THREADS", "0"))  # inside one inference; 0: what the library takes by itself
_DESCRIPTION = json.loads((_FOLDER / "model" / "model.json").read_text(encoding="utf-8"))


def pixels(image: Image.Image) -> np.ndarray:
    """A photo as uint8 [size, size, 3]."""
    return np.array(letterbox(image, _DESCRIPTION["image_size"]))


def opened(photo: bytes) -> Image.Image:
    """A photo whose pixels are not decoded yet."""
    return Image.open(io.BytesIO(photo))


class Torch:
    """The network as people run it: torch, eager."""

    def __init__(self) -> None:
        import torch
        from safetensors.torch import load_file

        from tally.network import build_network

        if _THREADS:
            torch.set_num_threads(_THREADS)
        self._torch = torch
        self._network = build_network(_DESCRIPTION["backbone"], 0.0)
        self._network.load_state_dict(load_file(_FOLDER / "model" / "weights.safetensors"))
        self._network.eval()
        self(Image.new("RGB", (64, 64)))

    def __call__(self, image: Image.Image) -> dict[str, Any]:
        with self._torch.inference_mode():
            logits = self._network(self._torch.from_numpy(pixels(image)[None]))
            return _answer(logits.softmax(1)[0].tolist())


class Onnx:
    """The exported network with ONNX Runtime, as our endpoint runs it."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        file = _FOLDER / "model" / "model.onnx"
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self(Image.new("RGB", (64, 64)))

    def __call__(self, image: Image.Image) -> dict[str, Any]:
        (probabilities,) = self._session.run(None, {"photos": pixels(image)[None]})
        return _answer(probabilities[0].tolist())


RUNTIMES = {"torch": Torch, "onnx": Onnx}


def _answer(probabilities: list[float]) -> dict[str, Any]:
    by_count = dict(zip(map(str, _DESCRIPTION["counts"]), probabilities, strict=True))
    best = max(by_count, key=by_count.__getitem__)
    return {"count": int(best), "confidence": by_count[best], "probabilities": by_count}
