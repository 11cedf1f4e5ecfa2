"""How fast a training job is with some number of ranks on this machine, each with its share of the CPUs. Prints JSON.

    PYTHONPATH=model_code python -m benchmarks.training.ranks --folder FOLDER --processes 2

A real job, `python -m tally train`, of two epochs as a trial of a tuning job, which exports nothing; the second counts.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.modules import ROOT
from benchmarks.training.prepare import SHARDS, VALIDATION


def photos_per_second(folder: Path, hyperparameters: dict[str, str], processes: int) -> float:
    """The trainer's own figure of its last epoch; BenchError with what the job said when it failed."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        config, data = root / "input" / "config", root / "input" / "data"
        for made in (config, data):
            made.mkdir(parents=True)
        (data / "train").symlink_to((folder / SHARDS).resolve())
        (data / "validation").symlink_to((folder / VALIDATION).resolve())
        asked = {**hyperparameters, "processes": str(processes), "_tuning_objective_metric": "best_validation_accuracy"}
        (config / "hyperparameters.json").write_text(json.dumps(asked), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "tally", "train"],
            env={**_inherited(), "TALLY_ML_ROOT": name, "PYTHONPATH": str(ROOT / "model_code")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"the job with {processes} ranks failed: {done.stderr.strip()[-800:]}")
        lines = (root / "output" / "data" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return float(json.loads(lines[-1])["photos_per_second"])


def _inherited() -> dict[str, str]:
    """Threads are the job's own affair."""
    return {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MASTER_PORT")}


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.training.ranks", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="as benchmarks.training.prepare makes it")
    parser.add_argument("--processes", required=True, type=int)
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    hyperparameters = {
        "backbone": options.backbone,
        "image_size": str(options.image_size),
        "epochs": str(options.epochs),
        "profile_steps": "0",
    }
    try:
        found = photos_per_second(options.folder, hyperparameters, options.processes)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"photos_per_second": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
