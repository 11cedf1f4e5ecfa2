"""Does the default recipe hold what is demanded of it? `make compare-recipes` trains and answers.

    PYTHONPATH=model_code python -m benchmarks.recipes --data ../photos --weights net.pth --backbone mobilenet_v2
    PYTHONPATH=model_code python -m benchmarks.recipes --shuffle-labels ...      the control: permuted labels
    PYTHONPATH=model_code python -m benchmarks.recipes --share 0.25 0.5 1 ...    the learning curve

Runs the containers' jobs as the platform does, one after another. Ctrl-C leaves what is done, and the same command goes
on from there. Ends with 1 when something does not hold.
"""

import json
import math
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TextIO, cast

from benchmarks import machine, recipes_report
from benchmarks.recipes_bench import Bench, Choices
from benchmarks.recipes_compare import compare
from benchmarks.recipes_curve import learning_curve
from benchmarks.recipes_jobs import Jobs
from benchmarks.recipes_progress import Progress
from benchmarks.recipes_shuffled import control
from local.display import PatientStream
from local.errors import LocalError, StoppedError
from local.run import only_one
from local.sample_data import generate
from local.stopping import StopSignal, stopping_on_signals
from ops.errors import OpsError

_SAMPLE_SEED = 7


def parse(arguments: Sequence[str] | None = None) -> Namespace:
    """Read the command line; argparse ends the process where it cannot be right."""
    parser = ArgumentParser(prog="python -m benchmarks.recipes", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of photos; without it sample photos are drawn")
    parser.add_argument("--groups", type=Path, help="CSV of image_id, group and source, where the folder has none")
    parser.add_argument("--list", type=Path, help="JSON of the photos to take, as file_list.json")
    parser.add_argument(
        "--weights", type=Path, help="pretrained weights; without them everything starts from random ones"
    )
    parser.add_argument("--backbone", help="network of both recipes; the pipeline's default")
    parser.add_argument(
        "--image-size", type=int, help="pixels, of both recipes: for quick tries, the published one is 224"
    )
    parser.add_argument("--epochs", type=int, help="of the default recipe; the pipeline's default")
    parser.add_argument("--members", type=int, help="networks that answer together; the pipeline's default")
    parser.add_argument(
        "--minutes", type=float, help="most minutes that one training of the default recipe may take here"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each recipe (default 3)")
    parser.add_argument(
        "--plain-seeds", type=int, help="trainings of the plain recipe, where it shall be fewer: saves hours"
    )
    parser.add_argument(
        "--split",
        choices=("test", "validation"),
        default="test",
        help="judge on test (default), once and at the end, or on validation while something is still being chosen",
    )
    parser.add_argument("--shuffle-labels", action="store_true", help="train on permuted labels instead: the control")
    parser.add_argument(
        "--share", type=float, nargs="+", help="train on these shares of the photos: the learning curve"
    )
    parser.add_argument("--sample-photos", type=int, default=600, help="photos to draw without --data (default 600)")
    parser.add_argument("--out", type=Path, default=Path("build/recipes"), help="jobs, recipes.json and recipes.md")
    options = parser.parse_args(arguments)
    for name in ("image_size", "epochs", "members", "minutes", "seeds", "plain_seeds", "sample_photos"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"--{name.replace('_', '-')} is {value}; it must be a number above 0")
    if (options.plain_seeds or 0) > options.seeds:
        parser.error(f"--plain-seeds is {options.plain_seeds}; it must be at most --seeds, which is {options.seeds}")
    if options.share:
        if options.shuffle_labels:
            parser.error("--share and --shuffle-labels are two things to find out; give one of them")
        if not all(0 < share <= 1 for share in options.share) or len(set(options.share)) < 2:
            parser.error(f"--share is {options.share}; give at least two shares above 0 and up to 1, as 0.25 0.5 1")
    if options.weights is not None and not options.weights.is_file():
        parser.error(f"--weights {options.weights} is not a file; give a .pth or .safetensors file")
    return options


def run(options: Namespace, stop: StopSignal, stream: TextIO) -> int:
    """Find out what was asked for, print it, and leave it in `--out`; 0 when it holds, else 1."""
    here, progress = machine.describe(), Progress(stream)
    print(machine.line(here), file=stream, flush=True)
    out: Path = options.out
    bench = Bench(_choices(options, progress), Jobs(out.resolve() / "jobs", stop), progress)
    found: dict[str, Any]
    if options.shuffle_labels:
        name, page, found = "recipes_shuffled", recipes_report.control, control(bench)
        held = bool(found["holds"])
    elif options.share:
        name, page, found = "recipes_curve", recipes_report.curve, learning_curve(bench, options.share)
        held = True
    else:
        name, page, found = "recipes", recipes_report.comparison, compare(bench)
        held = all(claim["holds"] for claim in found["claims"])
    chosen = {key: str(value) for key, value in asdict(bench.choices).items() if value is not None}
    result = {"machine": here, "code": bench.jobs.code, "choices": chosen, **found}
    text = page(result)
    (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten: {out / name}.json, {out / name}.md", file=stream, flush=True)
    return 0 if held else 1


def _choices(options: Namespace, progress: Progress) -> Choices:
    data = options.data
    if data is None:
        data = options.out / f"sample-{options.sample_photos}"
        if not (data / ".whole").exists():
            progress.say(f"drawing {options.sample_photos} sample photos: what follows says nothing about real bins")
            generate(data, photos=options.sample_photos, seed=_SAMPLE_SEED)
            (data / ".whole").touch()
    others = {item.name for item in fields(Choices)} - {"data", "listing"}
    return Choices(data=data, listing=options.list, **{name: getattr(options, name) for name in others})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 holds, 1 does not hold or a job failed, 130 stopped."""
    options = parse(arguments)
    stop, stream = StopSignal(), cast(TextIO, PatientStream(sys.stdout))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with stopping_on_signals(lambda: stop.set("asked to stop")), only_one(options.out):
            return run(options, stop, stream)
    except StoppedError as stopped:
        print(f"stopped during: {stopped}; what is done is kept, the same command goes on from there", file=stream)
        return 130
    except (LocalError, OpsError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
