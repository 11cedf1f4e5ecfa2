"""An int8 copy of an exported model, judged beside it on validation: the one that is to serve is named in model.json.

The copy serves when it is shown to be less than `accuracy_margin` less accurate and at least LEAST_SPEEDUP times as
fast. Otherwise fp32 serves and the copy is not kept. model.onnx stays the fp32 model either way.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tally.cpus import usable_cpus
from tally.data.files import explain_write_errors
from tally.data.shards import Split
from tally.evaluation.scoring import Truth, latencies, score
from tally.gate.noninferiority import NonInferiority, judge, least_photos
from tally.gate.pairs import Pairs
from tally.gate.settings import GateSettings
from tally.predictor import DESCRIPTION_FILE, MODEL_FILES, Predictor, Probabilities, open_session
from tally.quantisation import Photos, Quantiser
from tally.sensitivity import choose_layers
from tally.settings import TrainingSettings

LEAST_SPEEDUP = 1.6
"""What an int8 model must gain on a photo, decoding included: for less nobody should give up what a margin allows."""

CALIBRATION_PHOTOS = 128
COMPARED_PHOTOS = 32
"""Of these, to measure what a layer harms."""


def lower_precision(
    directory: Path, settings: TrainingSettings, train: Split, validation: Split
) -> dict[str, Any] | None:
    """Make the int8 copy of the model in `directory`, judge both, and say in model.json which one serves.

    Ranges come from training photos, the choice from validation. `low_precision=auto` spares the trouble where
    validation has too few photos to show anything. Returns the record, of plain data, or None when it is off.
    A network that cannot be made int8 serves in fp32, and the record says why. TallyError when `directory` cannot be
    written.
    """
    if settings.low_precision == "off":
        return None
    with tempfile.TemporaryDirectory(prefix="tally-int8-") as folder:
        candidate = Path(folder)
        record = _too_few(settings, validation) or _tried(directory, candidate, settings, train, validation)
        file = MODEL_FILES[record["serves"]]
        with explain_write_errors(directory):
            if record["serves"] != "fp32":
                shutil.copyfile(candidate / file, directory / file)
            _describe(directory, directory, record["serves"], low_precision=record)
    print(f"low_precision serves={record['serves']}: {record['reason']}", flush=True)
    return record


def _too_few(settings: TrainingSettings, validation: Split) -> dict[str, Any] | None:
    fewest = least_photos(settings.accuracy_margin, GateSettings().alpha)
    if settings.low_precision != "auto" or len(validation) >= fewest:
        return None
    reason = (
        f"not tried: {len(validation)} validation photos cannot show a loss below {_points(settings.accuracy_margin)}, "
        f"it takes at least {fewest}"
    )
    return {"serves": "fp32", "reason": reason}


def _tried(
    directory: Path, candidate: Path, settings: TrainingSettings, train: Split, validation: Split
) -> dict[str, Any]:
    try:
        made = make_copy(directory, candidate, train, settings.seed)
    except Exception as error:  # whatever ONNX Runtime makes of a network; hours of training are not lost to it
        return {"serves": "fp32", "reason": f"no int8 model could be made: {error}"}
    return compare(directory, candidate, validation, settings.accuracy_margin) | made


def make_copy(directory: Path, target: Path, train: Split, seed: int) -> dict[str, Any]:
    """Write an int8 copy of the model in `directory`, with a model.json that has it serve, into the folder `target`.

    Returns the number of layers, those `left` in float, and the damage that remains. Raises whatever ONNX Runtime does.
    """
    predictor = Predictor.load(directory, usable_cpus())
    photos = _sample(train, predictor, seed)
    compared = photos[:COMPARED_PHOTOS]

    def answers(model: onnx.ModelProto) -> Probabilities:
        session = open_session(model.SerializeToString(), usable_cpus())
        (found,) = session.run(["probabilities"], {"photos": compared})
        return np.asarray(found, dtype=np.float32)

    quantiser = Quantiser(onnx.load(directory / MODEL_FILES["fp32"]), photos)
    chosen = choose_layers(quantiser, predictor.probabilities(compared), answers)
    onnx.save(chosen.model, target / MODEL_FILES["int8"])
    _describe(directory, target, "int8")
    return {"layers": len(quantiser.layers), "left": list(chosen.left), "damage": chosen.damage}


def compare(directory: Path, candidate: Path, validation: Split, margin: float) -> dict[str, Any]:
    """Run the model in `directory` and its int8 copy in `candidate` as they would serve; the record, as plain data."""
    places = {"fp32": directory, "int8": candidate}
    scored = {name: score(name, place, validation) for name, place in places.items()}
    milliseconds = latencies(places, validation)
    truth = Truth.of(validation)
    plain, int8 = scored["fp32"].predicted, scored["int8"].predicted
    verdict = judge(Pairs.of(truth.true, plain, int8, truth.groups), margin, GateSettings().alpha)
    speedup = milliseconds["fp32"] / milliseconds["int8"]
    serves, reason = decide(verdict, speedup)
    return {
        "serves": serves,
        "reason": reason,
        "speedup": speedup,
        "least_speedup": LEAST_SPEEDUP,
        "same_counts": float((plain == int8).mean()),
        "judged": verdict.as_dict(),
        "models": {
            name: {
                "bytes": (place / MODEL_FILES[name]).stat().st_size,
                "accuracy": float((scored[name].predicted == truth.true).mean()),
                "latency_ms": milliseconds[name],
            }
            for name, place in places.items()
        },
    }


def decide(verdict: NonInferiority, speedup: float) -> tuple[str, str]:
    """Which precision serves, and why, in words."""
    bound = f"{100 * verdict.lower_bound:+.2f} points at the least"
    if verdict.verdict == "inferior":
        return "fp32", f"int8 may be {_points(verdict.margin)} less accurate or more: {bound}"
    if verdict.verdict == "underpowered":
        return "fp32", (
            f"{verdict.photos} validation photos cannot show that int8 loses less than {_points(verdict.margin)}: "
            f"{bound}; some {verdict.needed_photos} would"
        )
    if speedup < LEAST_SPEEDUP:
        return "fp32", f"int8 is {speedup:.2f} times as fast, which is below {LEAST_SPEEDUP:g}"
    return "int8", f"{speedup:.2f} times as fast, accuracy {bound}"


def _sample(train: Split, predictor: Predictor, seed: int) -> Photos:
    """Training photos as they would be served, uint8 [n, S, S, 3]; the same ones for the same seed."""
    number = min(CALIBRATION_PHOTOS, len(train))
    places = np.random.default_rng(seed).choice(len(train), number, replace=False)
    return np.stack([predictor.decode(train.jpeg(place)) for place in places.tolist()])


def _describe(source: Path, target: Path, precision: str, **more: Any) -> None:
    """Write the model.json of `source` to `target`, with the precision that serves."""
    description = json.loads((source / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    text = json.dumps(description | more | {"precision": precision}, indent=2, sort_keys=True)
    (target / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")


def _points(share: float) -> str:
    return f"{100 * share:g} points" if share != 0.01 else "1 point"
