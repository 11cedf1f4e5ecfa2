"""An exported model beside its int8 copy: accuracy, where a request's time goes, and requests/s of the endpoint.

    PYTHONPATH=model_code python -m benchmarks.low_precision --model build/model --train build/prepared/train \\
        --judged build/prepared/validation --photos photos --rounds 5 --seconds 5

Makes the copy as the training job does, from photos of the split --train, and compares both on the split --judged,
which the model must not have learnt from, whether or not the copy may serve. Both are served in turn by our endpoint
and asked about JPEG files. Needs a quiet machine.
"""

import json
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.in_turns import in_turns, markdown, ratios, spread, times
from benchmarks.modules import run_module
from benchmarks.photos import read_photos
from benchmarks.serving.servers import SERVERS, Place, Setup, running
from local.jobs.workspace import free_port
from tally.data.shards import Split
from tally.errors import TallyError
from tally.low_precision import compare, make_copy
from tally.predictor import DESCRIPTION_FILE, MODEL_FILE, Predictor

_OURS = next(server for server in SERVERS if server.requirements is None)
_TIMED = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    here = machine.describe()
    try:
        with tempfile.TemporaryDirectory(prefix="tally-low-precision-") as folder:
            places = {name: Path(folder) / name for name in ("fp32", "int8")}
            for place in places.values():
                (place / "model").mkdir(parents=True)
            plain, int8 = (place / "model" for place in places.values())
            for name in (MODEL_FILE, DESCRIPTION_FILE):
                copyfile(options.model / name, plain / name)
            began = time.monotonic()
            record = make_copy(plain, int8, Split.open(options.train), options.seed)
            record["seconds"] = time.monotonic() - began
            record |= compare(plain, int8, Split.open(options.judged), options.margin)
            photos = read_photos(options.photos, options.number)
            split = {name: _split(place / "model", photos) for name, place in places.items()}
            asked = Path(folder) / "photos"
            asked.mkdir()
            for number, photo in enumerate(photos):
                (asked / f"{number:05d}.jpg").write_bytes(photo)
            served = {name: _serving(place, asked, options) for name, place in places.items()}
            rates = in_turns(served, options.rounds)
    except (BenchError, TallyError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.model.resolve().name}; {machine.line(here)}\n")
    print(_table(record, split, rates))
    print(f"\n{times(ratios(rates['int8'], rates['fp32']))} the requests/s of fp32, {options.clients} clients")
    print(f"{record['serves']} would serve: {record['reason']}")
    print(json.dumps({**record, "milliseconds": split, "requests_per_second": rates, "machine": here}))
    return 0


def _split(model: Path, photos: Sequence[bytes]) -> dict[str, float]:
    """Median ms of one photo on one thread: `decode` until the square is ready, `session` from there."""
    predictor = Predictor.load(model)
    predictor.warm_up()
    decoding, running_it = [], []
    for photo in photos[:_TIMED]:
        began = time.perf_counter()
        pixels = predictor.decode(photo)[None]
        between = time.perf_counter()
        predictor.probabilities(pixels)
        running_it.append(1000 * (time.perf_counter() - between))
        decoding.append(1000 * (between - began))
    return {"decode": statistics.median(decoding), "session": statistics.median(running_it)}


def _serving(artifact: Path, photos: Path, options: Namespace) -> Any:
    def rate() -> float:
        place = Place(Path(sys.executable), artifact, artifact / "server", free_port())
        first = min(photos.glob("*.jpg")).read_bytes()
        with running(_OURS, Setup(), place, first) as there:
            words = ("--server", _OURS.name, "--port", str(there.port), "--photos", str(photos))
            window = ("--concurrency", str(options.clients), "--seconds", f"{options.seconds:g}")
            found = json.loads(run_module("benchmarks.serving.load", *words, *window, seconds=options.seconds))
        if not found["latencies"]:
            raise BenchError(f"the endpoint answered nothing; its log is {there.log}")
        return len(found["latencies"]) / float(found["seconds"])

    return rate


def _table(record: dict[str, Any], split: dict[str, dict[str, float]], rates: dict[str, list[float]]) -> str:
    rows = []
    for name, figures in record["models"].items():
        took = (f"{split[name]['decode']:.1f}", f"{split[name]['session']:.1f}")
        size = f"{figures['bytes'] / 1e6:.1f}"
        rows.append([name, f"{figures['accuracy']:.4f}", *took, spread(rates[name], 0), size])
    return markdown(["", "accuracy", "decode ms", "session ms", "requests/s", "MB"], rows)


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.low_precision", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument("--train", type=Path, required=True, help="split of Preprocess that ranges are measured on")
    parser.add_argument("--judged", type=Path, required=True, help="split of Preprocess that both are compared on")
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG files to ask about")
    parser.add_argument("--number", type=int, default=200, help="of those photos (default %(default)s)")
    parser.add_argument("--margin", type=float, default=0.005, help="accuracy that may be lost (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a window (default %(default)s)")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
