"""How fast a model answers for a test split, and a hash of its answers. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.evaluation.score --split FOLDER --model FOLDER --kind ours

`ours` is what the evaluation does. `turns` is the usual way: the CPUs decode a batch of 32, then all of them run the
network on it. `network` is the network alone on decoded photos, a thread a CPU: nothing can be faster.
"""

import contextlib
import hashlib
import io
import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tally.cpus import usable_cpus
from tally.data.shards import Split
from tally.evaluation.scoring import batches, score
from tally.predictor import Predictor, Probabilities

_USUAL = 32  # photos in a batch


def ours(model: Path, split: Split) -> tuple[Probabilities, float]:
    """Answers, and the seconds that they took."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # it says how far it is
        answers = score("model", model, split).probabilities
    return answers, time.perf_counter() - began


def turns(model: Path, split: Split) -> tuple[Probabilities, float]:
    """Likewise."""
    began = time.perf_counter()
    cpus = usable_cpus()
    predictor, found = Predictor.load(model, cpus), []
    with ThreadPoolExecutor(cpus) as pool:
        for first in range(0, len(split), _USUAL):
            indices = range(first, min(first + _USUAL, len(split)))
            batch = list(pool.map(lambda index: predictor.decode(split.jpeg(index)), indices))
            found.append(predictor.probabilities(np.stack(batch)))
    return np.concatenate(found), time.perf_counter() - began


def network(model: Path, split: Split) -> tuple[Probabilities, float]:
    """Likewise, without loading and decoding."""
    predictor = Predictor.load(model)
    photos = np.stack([predictor.decode(split.jpeg(index)) for index in range(len(split))])
    began = time.perf_counter()
    with ThreadPoolExecutor(usable_cpus()) as pool:
        found = list(
            pool.map(lambda batch: predictor.probabilities(photos[batch.start : batch.stop]), batches(len(split)))
        )
    return np.concatenate(found), time.perf_counter() - began


KINDS: dict[str, Callable[[Path, Split], tuple[Probabilities, float]]] = {
    "ours": ours,
    "turns": turns,
    "network": network,
}


def measure(kind: str, model: Path, split: Split) -> dict[str, Any]:
    """Photos a second, and a hash of all answers in their order."""
    answers, seconds = KINDS[kind](model, split)
    return {"photos_per_second": len(split) / seconds, "answers": hashlib.sha256(answers.tobytes()).hexdigest()[:16]}


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.evaluation.score", description=__doc__)
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--kind", required=True, choices=list(KINDS))
    options = parser.parse_args()
    print(json.dumps(measure(options.kind, options.model, Split.open(options.split))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
