"""Photo bytes to a count, with the exported model. Needs ONNX Runtime, Pillow and numpy only: no torch, no pickle."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image, UnidentifiedImageError

from tally.damage import DamagedError, check_file
from tally.errors import TallyError
from tally.labels import COUNTS
from tally.letterbox import PREPROCESSING, letterbox

FORMATS = ("JPEG", "PNG", "WEBP")
MODEL_FORMAT = "tally-model/1"
_REMEDY = "train again or fetch it anew"
MODEL_FILE, DESCRIPTION_FILE = "model.onnx", "model.json"
MODEL_FILES = {"fp32": MODEL_FILE, "int8": "model.int8.onnx"}
"""The file by what its network computes in. `precision` of model.json says which one answers; without it fp32 does."""

Photos = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class BadPhoto(TallyError):  # noqa: N818 - it is the photo that is bad
    """The caller's photo cannot be used. `code` is stable for programs, `status` is the HTTP status it deserves."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What a photo may cost. Pixels are judged from the header, before any is decoded."""

    max_bytes: int = 6 * 1024 * 1024
    """SageMaker's own limit on a request to an endpoint."""
    max_pixels: int = 50_000_000


@dataclass(frozen=True)
class Prediction:
    """`probabilities` in the order of `labels.COUNTS`; `confidence` is the largest; `model` names the model file."""

    count: int
    confidence: float
    probabilities: tuple[float, ...]
    model: str

    def as_dict(self) -> dict[str, Any]:
        """The answer of the endpoint."""
        by_count = {str(count): value for count, value in zip(COUNTS, self.probabilities, strict=True)}
        return {"count": self.count, "confidence": self.confidence, "probabilities": by_count, "model": self.model}


def decode(photo: bytes | memoryview, size: int, limits: Limits, stretch: float = 1.0) -> Photos:
    """Decode JPEG, PNG or WebP (of an animation the first frame) into uint8 [size, size, 3], letterboxed.

    `stretch` as in `letterbox`.
    Raises BadPhoto: 400 empty, 413 too many bytes, 415 another format or no image, 422 too many pixels or undecodable.
    """
    if not photo:
        raise BadPhoto("empty", 400, "the photo has no bytes: send the file itself as the body")
    if len(photo) > limits.max_bytes:
        raise too_large(len(photo), limits)
    try:
        file = io.BytesIO(photo)
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > limits.max_pixels:
                raise _too_many_pixels(f"{width} x {height}", limits)
            check_file(file, image.format)
            return np.asarray(letterbox(image, size, stretch))
    except BadPhoto:
        raise
    except DamagedError as error:
        raise BadPhoto("undecodable", 422, str(error)) from error
    except UnidentifiedImageError:
        allowed = ", ".join(FORMATS)
        raise BadPhoto("unsupported_format", 415, f"the body is no image of a supported format ({allowed})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own, far higher limits; the second one is an error only where warnings are.
        raise _too_many_pixels("more pixels than Pillow opens", limits) from None
    except Exception as error:
        # Damaged files make Pillow's decoders raise nearly anything: OSError, SyntaxError, struct.error, ValueError.
        raise BadPhoto("undecodable", 422, f"the photo is damaged and cannot be decoded: {error}") from error


def too_large(length: int, limits: Limits) -> BadPhoto:
    """The error for a body of `length` bytes, or of at least so many."""
    message = f"the photo has {length} bytes or more, the limit is {limits.max_bytes}: send it smaller"
    return BadPhoto("too_large", 413, message)


def _too_many_pixels(found: str, limits: Limits) -> BadPhoto:
    message = f"the photo has {found}, the limit is {limits.max_pixels} pixels: send it smaller"
    return BadPhoto("too_many_pixels", 422, message)


class Predictor:
    """One loaded model. `predict` may be called from several threads at once."""

    def __init__(
        self, session: onnxruntime.InferenceSession, description: dict[str, Any], model: str, limits: Limits
    ) -> None:
        self._session = session
        self.description = description
        self.image_size: int = description["image_size"]
        self.stretch: float = description["preprocessing"].get("stretch", 1.0)
        self.model = model
        self.limits = limits

    @classmethod
    def load(cls, model_dir: Path, threads: int = 1, limits: Limits | None = None) -> "Predictor":
        """Load `model.json` and the file it names; TallyError names the file that is missing or of another format.

        `threads` are used inside one inference. Serving keeps 1 and runs photos side by side: threads of several
        inferences would fight for the same cores.
        """
        description = _read_description(model_dir / DESCRIPTION_FILE)
        path = model_dir / MODEL_FILES[description.get("precision", "fp32")]
        try:
            file = path.open("rb")
        except OSError as error:
            raise TallyError(f"cannot read the model {path} ({error.strerror}): {_REMEDY}") from error
        with file, ThreadPoolExecutor(1) as aside:
            digest = aside.submit(hashlib.file_digest, file, "sha256")
            try:
                # By this name it has no folder, and no weights in other files there, which no hash of it would cover.
                session = open_session(f"/dev/fd/{file.fileno()}", threads)
            except Exception as error:  # ONNX Runtime's own exceptions share no base class
                raise TallyError(f"{path} is not a model that ONNX Runtime can run: {_REMEDY}: {error}") from error
        _check_graph(path, session, description["image_size"])
        return cls(session, description, digest.result().hexdigest()[:12], limits or Limits())

    def decode(self, photo: bytes | memoryview) -> Photos:
        """Decode for this model: `decode` with its size, stretch and limits."""
        return decode(photo, self.image_size, self.limits, self.stretch)

    def predict(self, photo: bytes | memoryview) -> Prediction:
        """Count the objects in one encoded photo; BadPhoto when it cannot be used."""
        row = self.probabilities(self.decode(photo)[None])[0]
        best = int(row.argmax())
        return Prediction(COUNTS[best], float(row[best]), tuple(row.tolist()), self.model)

    def probabilities(self, batch: Photos) -> Probabilities:
        """Run uint8 [n, size, size, 3] -> float32 [n, 5]; TallyError when the model answers with no probabilities."""
        (output,) = self._session.run(["probabilities"], {"photos": batch})
        answer = np.asarray(output, dtype=np.float32)
        if answer.shape != (len(batch), len(COUNTS)) or not (np.abs(answer.sum(axis=1) - 1) < 1e-3).all():
            raise TallyError(f"model {self.model} answered {answer.shape} {answer[:1]} where probabilities should be")
        return answer

    def warm_up(self) -> None:
        """Run once on a blank photo, so that the first caller does not wait for allocations."""
        self.probabilities(np.zeros((1, self.image_size, self.image_size, 3), dtype=np.uint8))


def open_session(model: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session on CPUs that uses `threads` inside one inference; raises ONNX Runtime's own exceptions.

    `model` is the name of a file or the content of one, which a session keeps a copy of.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not _adds_up_in_32_bits():
        # Else int8 products are added up in 16 bits, which overflow: so it is slower, and the answers are the same.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _adds_up_in_32_bits(flags: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU has VNNI. Asked here, as ONNX Runtime takes CPUs with AMX for such as overflow (1.31)."""
    try:
        return "vnni" in flags.read_text(encoding="utf-8")
    except OSError:
        return False


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TallyError(
            f"cannot read the model's description {path} ({error.strerror}): is it a Tally model?"
        ) from error
    except (ValueError, RecursionError) as error:
        raise TallyError(f"{path} is not JSON: {error}") from error
    if not isinstance(description, dict):
        raise TallyError(f"{path} holds {type(description).__name__}, not an object: is it a Tally model?")
    preprocessing = description.get("preprocessing")
    if isinstance(preprocessing, dict):
        preprocessing = {"stretch": 1.0} | preprocessing  # models of older releases have none
        stretch = preprocessing["stretch"]
    else:
        stretch = None
    for key, found, wanted in (
        ("format", description.get("format"), MODEL_FORMAT),
        ("counts", description.get("counts"), list(COUNTS)),
        ("preprocessing", preprocessing, PREPROCESSING | {"stretch": stretch}),
    ):
        if found != wanted:
            raise TallyError(f"{path}: {key} is {found!r}, this version of Tally runs only {wanted!r}")
    if isinstance(stretch, bool) or not isinstance(stretch, int | float) or not 1 <= stretch <= 100:
        raise TallyError(f"{path}: preprocessing.stretch is {stretch!r}, it must be a number from 1 to 100")
    precision = description.get("precision", "fp32")
    if precision not in tuple(MODEL_FILES):
        raise TallyError(f"{path}: precision is {precision!r}, it must be one of: {', '.join(MODEL_FILES)}")
    size = description.get("image_size")
    if not isinstance(size, int) or isinstance(size, bool) or not 8 <= size <= 4096:
        raise TallyError(f"{path}: image_size is {size!r}, it must be a whole number from 8 to 4096")
    return description


def _check_graph(path: Path, session: onnxruntime.InferenceSession, size: int) -> None:
    found = [(tensor.name, tensor.type) for tensor in (*session.get_inputs(), *session.get_outputs())]
    wanted = [("photos", "tensor(uint8)"), ("probabilities", "tensor(float)")]
    if found != wanted:
        raise TallyError(f"{path} has inputs and outputs {found}, a Tally model has {wanted}: export it again")
    shape = session.get_inputs()[0].shape
    if len(shape) != 4 or any(isinstance(side, int) and side != size for side in shape[1:3]):
        raise TallyError(f"{path} takes photos {shape}, but {DESCRIPTION_FILE} says image_size {size}: export it again")
