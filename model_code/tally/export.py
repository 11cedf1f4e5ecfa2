"""From a trained network to the artifact that is judged and served: model.onnx, model.json, weights.safetensors."""

import contextlib
import io
import json
import logging
import os
import platform
import warnings
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

import tally
from tally.calibration import Calibration
from tally.data.shards import Split
from tally.errors import TallyError
from tally.labels import COUNTS
from tally.letterbox import PREPROCESSING
from tally.network import Mirrored
from tally.provenance import TrainedOn, counts_by_source
from tally.settings import TrainingSettings
from tally.softening import unsoftening

MODEL_FORMAT = "tally-model/1"
TOLERANCE = 1e-4  # largest difference of a probability between ONNX Runtime and torch


class _Probabilities(nn.Module):
    """What is exported: photos in, calibrated probabilities out."""

    def __init__(self, network: nn.Module, settings: TrainingSettings, scaling: nn.Module) -> None:
        super().__init__()
        self.network = nn.Sequential(Mirrored(network) if settings.flip_tta else network, unsoftening(settings))
        self.scaling = scaling

    def forward(self, photos: Tensor) -> Tensor:
        """uint8 `[n, S, S, 3]` to float `[n, 5]`."""
        probabilities: Tensor = self.scaling(self.network(photos))
        return probabilities


def export_model(
    directory: Path,
    network: nn.Module,
    settings: TrainingSettings,
    train: Split,
    validation: Split,
    calibration: Calibration,
) -> None:
    """Write the model directory and prove that it computes what the network computes.

    The graph holds everything between a letterboxed photo and calibrated probabilities: normalisation, the mirror image
    where `flip_tta` asks for it, the way back from softened labels, the calibration. Raises TallyError when ONNX
    Runtime and torch differ by more than TOLERANCE on photos of the validation split, or when `directory` cannot be
    written.
    """
    network = network.cpu().to(memory_format=torch.contiguous_format).eval()
    exported = _Probabilities(network, settings, calibration.scaling()).eval()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_onnx(directory / "model.onnx", exported, settings.image_size)
        # These iterators name what members of an ensemble share once; state_dict also leaves out what is not learnt.
        once = {name for name, _ in chain(network.named_parameters(), network.named_buffers())}
        weights = {name: value.contiguous() for name, value in network.state_dict().items() if name in once}
        save_file(weights, directory / "weights.safetensors")
        TrainedOn.of(train, validation).write(directory)
        description = json.dumps(_describe(settings, train, validation, calibration), indent=2, sort_keys=True)
        (directory / "model.json").write_text(description + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise TallyError(f"model directory '{directory}' cannot be written ({error}); free space there") from error
    _compare(directory / "model.onnx", exported, settings.backbone, _sample(validation, settings))


def _write_onnx(file: Path, exported: nn.Module, size: int) -> None:
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    # The exporter talks on stdout, through logging and in deprecation warnings of its own parts.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            exported,
            (example,),
            file,
            dynamo=True,
            input_names=["photos"],
            output_names=["probabilities"],
            dynamic_shapes={"photos": {0: torch.export.Dim("photos", min=1, max=1024)}},
            external_data=False,
            verbose=False,
        )
    onnx.checker.check_model(str(file))


def _sample(split: Split, settings: TrainingSettings, photos: int = 8) -> np.ndarray:
    from tally.loader import ValidationPhotos

    dataset = ValidationPhotos(split, settings.image_size, settings.stretch)
    return np.stack([dataset[index][0] for index in range(min(photos, len(split)))])


def _compare(file: Path, exported: "_Probabilities", backbone: str, photos: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for batch in (photos, photos[:1]):  # the batch size is dynamic: prove two
        (ours,) = session.run(None, {"photos": batch})
        with torch.inference_mode():
            logits = exported.network(torch.from_numpy(batch))
            theirs = exported.scaling(logits).numpy()
        first, second = logits.topk(2).values.T.numpy()
        undecided = first - second < TOLERANCE  # rounding may decide on another answer, and each has its own scaling
        difference = float(np.abs(ours - theirs)[~undecided].max(initial=0))
        if not difference <= TOLERANCE:
            raise TallyError(
                f"exported '{file.name}' differs from the {backbone} network by {difference:.2g} in a "
                f"probability (at most {TOLERANCE:g}); choose another backbone or report this as a bug"
            )


def _describe(settings: TrainingSettings, train: Split, validation: Split, calibration: Calibration) -> dict[str, Any]:
    return {
        "format": MODEL_FORMAT,
        "counts": list(COUNTS),
        "backbone": settings.backbone,
        "image_size": settings.image_size,
        "preprocessing": PREPROCESSING | {"stretch": settings.stretch},
        "calibration": asdict(calibration),
        "train_sha256": train.sha256,
        "validation_sha256": validation.sha256,
        "photos": {"train": len(train), "validation": len(validation)},
        "counts_by_source": counts_by_source(train),
        "settings": settings.as_dict(),
        "git_commit": os.environ.get("TALLY_GIT_COMMIT", "unknown"),
        "training_job": os.environ.get("TRAINING_JOB_NAME", "unknown"),
        "versions": {
            "tally": tally.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }
