"""What the machine could count at most: decode, resize and session run on every CPU, without HTTP or checks.

    PYTHONPATH=model_code python -m benchmarks.serving.limit --artifact FOLDER --photos FOLDER --seconds 10

One process a CPU, each with one thread. Prints photos per second.
"""

import multiprocessing
import os
import sys
import time
from argparse import ArgumentParser
from multiprocessing.synchronize import Barrier
from pathlib import Path


def photos_per_second(artifact: Path, photos: Path, seconds: float, processes: int) -> float:
    """Run `processes` of them side by side for `seconds`, all beginning at once."""
    os.environ |= {"BENCH_ARTIFACT": str(artifact), "BENCH_THREADS": "1"}
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with context.Pool(processes, _set, (barrier,)) as pool:
        found = pool.starmap(_count, [(photos, seconds, number / processes) for number in range(processes)], 1)
    return sum(found) / seconds


_barrier: Barrier | None = None


def _set(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _count(folder: Path, seconds: float, offset: float) -> int:
    from benchmarks.serving.peers.peer_model import Onnx, opened  # reads the variables above

    count, photos = Onnx(), [file.read_bytes() for file in sorted(folder.glob("*.jpg"))]
    place, done = int(offset * len(photos)), 0
    if _barrier:
        _barrier.wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        count(opened(photos[(place + done) % len(photos)]))
        done += 1
    return done


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.serving.limit", description=__doc__)
    parser.add_argument("--artifact", required=True, type=Path)
    parser.add_argument("--photos", required=True, type=Path, help="a folder of JPEG files")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    print(photos_per_second(options.artifact, options.photos, options.seconds, options.processes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
