"""Runs Preprocess on a folder as SageMaker does, and says how long it took, or what memory it held. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.preprocess.job --folder FOLDER [--memory]

Seconds are those of the whole process, from its start to its end. Memory is the most that it and its workers held at
once, pages that they share counted once (PSS); looking takes time of its own, so it is not looked at where time counts.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psutil

from benchmarks.errors import BenchError
from benchmarks.modules import ROOT

_EVERY = 0.05  # seconds between two looks at memory


def run_job(folder: Path, image_size: int, *, memory: bool) -> dict[str, Any]:
    """`seconds`, `photos_per_second`, the job's `projection`, and where asked for `mib`; BenchError when it fails."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "processing" / "input").mkdir(parents=True)
        (root / "processing" / "input" / "photos").symlink_to(folder.resolve())
        began = time.perf_counter()
        with (root / "log").open("wb") as log:
            job = subprocess.Popen(
                [sys.executable, "-m", "tally", "preprocess", "--image-size", str(image_size)],
                env={**os.environ, "TALLY_ML_ROOT": name, "PYTHONPATH": str(ROOT / "model_code")},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            mib = _most_mib(psutil.Process(job.pid)) if memory else None
            code = job.wait()
        seconds = time.perf_counter() - began
        if code:
            raise BenchError(f"Preprocess failed: {(root / 'log').read_text('utf-8', 'replace')[-800:]}")
        report = json.loads((root / "processing/output/report/report.json").read_text(encoding="utf-8"))
    found = {"photos": report["photos_used"], "seconds": seconds, "projection": report["projection"]}
    return found | {"photos_per_second": found["photos"] / seconds} | ({"mib": mib} if memory else {})


def _most_mib(job: psutil.Process) -> float:
    """Until the job ends."""
    most = 0.0
    while job.is_running() and job.status() != psutil.STATUS_ZOMBIE:
        most = max(most, sum(map(_mib, (job, *_children(job)))))
        time.sleep(_EVERY)
    return most


def _children(job: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return job.children(recursive=True)
    return []


def _mib(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(process.memory_full_info().pss) / 2**20
    return 0.0


def main() -> int:
    """The command: 1 after a line that says what is wrong."""
    parser = ArgumentParser(prog="python -m benchmarks.preprocess.job", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.preprocess.prepare makes it")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--memory", action="store_true", help="look at memory, and let the time be what it is")
    options = parser.parse_args()
    try:
        print(json.dumps(run_job(options.folder, options.image_size, memory=options.memory)))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
