"""Training's input and ranks, measured: `make bench-training`.

    PYTHONPATH=model_code python -m benchmarks.training --rounds 5 --seconds 10
    PYTHONPATH=model_code python -m benchmarks.training --quick

Three comparisons: our loader beside torchvision's ImageFolder with RandomResizedCrop on the original files, with as
many workers, in rounds in a random order; the trainer's steps on photos from shards beside steps on batches in memory,
in turns of a few steps; a job of a rank a CPU beside one rank with a thread a CPU, in turns of an epoch. Needs a quiet
machine. Writes build/benchmarks/training.json and build/benchmarks/training.md.
"""

import json
import os
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.in_turns import in_turns, markdown, ratios, spread, times
from benchmarks.modules import Say, progress, run_module
from benchmarks.options import at_least
from benchmarks.outcome import publish
from benchmarks.training import ranks
from tally.container import MALLOC

Figure = dict[str, Any]
_QUICK = {"rounds": 1, "seconds": 0.5, "photos": 100}


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    say, here = progress(time.monotonic()), machine.describe()
    try:
        say(f"{options.photos} photos")
        words = ["--photos", options.photos, "--image-size", options.image_size, "--folder", options.out / "training"]
        if options.data:
            words += ["--data", options.data.resolve()]
        made = json.loads(run_module("benchmarks.training.prepare", *map(str, words)))
        found = _measure(options, made["folder"], say)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    photos = {"number": options.photos, "from": str(options.data or "drawn"), **made["sizes"]}
    text = "\n".join(
        [
            f"{options.backbone} at {options.image_size} pixels, fp32; {machine.line(here)}; {options.rounds} rounds, "
            f"windows of {options.seconds:g} s, {options.photos} photos. Medians (least to most).",
            "",
            table(found),
            "",
            *(f"- {line}" for line in sentences(found)),
        ]
    )
    document = {"machine": here, "photos": photos, "rounds": options.rounds, "seconds": options.seconds, **found}
    publish(options.out, "training", document, text)
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=1000, help="so many of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a window")
    parser.add_argument("--quick", action="store_true", help="short windows, one round: to see that all works")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    at_least(parser, options, photos=100, rounds=1, seconds=0.1, image_size=32)
    return options


def _measure(options: Namespace, folder: str, say: Say) -> dict[str, dict[str, list[Figure]]]:
    """By comparison and side the figures of each round."""
    cpus = len(os.sched_getaffinity(0))

    def run(module: str, words: Sequence[object], seconds: float, variables: Mapping[str, str] | None = None) -> Any:
        common = ("--folder", folder, "--image-size", options.image_size)
        said = run_module(
            f"benchmarks.training.{module}", *map(str, (*common, *words)), seconds=seconds, variables=variables
        )
        return json.loads(said.splitlines()[-1])  # the trainer says before how far it is

    def side(module: str, *words: object) -> Callable[[], Figure]:
        def measured() -> Figure:
            found: Figure = run(module, words, options.seconds)
            say(f"{module} {' '.join(map(str, words))}: {found['photos_per_second']:.0f} photos/s")
            return found

        return measured

    def steps() -> dict[str, Figure]:
        found: dict[str, Figure] = run("step", (*network, *window), 2 * options.seconds, MALLOC)
        say("; ".join(f"steps, {name}: {figure['photos_per_second']:.0f} photos/s" for name, figure in found.items()))
        return found

    window = ("--seconds", options.seconds)
    network = ("--backbone", options.backbone)
    job = {"backbone": options.backbone, "image_size": str(options.image_size), "profile_steps": "0"}
    loaders = {
        f"{kind}, {workers} workers": side("loader", "--kind", kind, "--workers", workers, *window)
        for workers in (0, cpus)
        for kind in ("ours", "imagefolder")
    }
    loader = in_turns(loaders, options.rounds)
    rounds = [steps() for _ in range(options.rounds)]
    step = {source: [found[source] for found in rounds] for source in rounds[0]}
    rates = ranks.photos_per_second(Path(folder), job, sorted({1, cpus}), options.rounds, say)
    jobs = {f"{n} x {cpus // n}": [{"photos_per_second": rate} for rate in some] for n, some in rates.items()}
    return {"loader": loader, "step": step, "ranks": jobs}


def table(found: dict[str, dict[str, list[Figure]]]) -> str:
    """A row a side."""
    rows = []
    for comparison, sides in found.items():
        for name, figures in sides.items():
            cpu = spread(_of(figures, "cpu_ms"), 2) if "cpu_ms" in figures[0] else ""
            rows.append([f"{comparison}: {name}", spread(_of(figures), 0), cpu])
    return markdown(["", "photos/s", "CPU ms a photo"], rows)


def sentences(found: dict[str, dict[str, list[Figure]]]) -> list[str]:
    """The ratios in words."""
    lines = []
    for name, ours in found["loader"].items():
        kind, _, workers = name.partition(", ")
        if kind == "ours":
            theirs = found["loader"][f"imagefolder, {workers}"]
            share = statistics.median(
                one / other for one, other in zip(_of(ours, "cpu_ms"), _of(theirs, "cpu_ms"), strict=True)
            )
            lines.append(
                f"loader, {workers}: {times(ratios(_of(ours), _of(theirs)))} the photos/s of ImageFolder, "
                f"at {share:.2f} of the CPU time a photo"
            )
    steps = found["step"]
    lines.append(f"training steps: {times(ratios(_of(steps['shards']), _of(steps['memory'])))} those in memory")
    one, *more = found["ranks"].items()
    for name, figures in more:
        lines.append(f"ranks x threads, {name}: {times(ratios(_of(figures), _of(one[1])))} those of {one[0]}")
    return lines


def _of(figures: Sequence[Figure], name: str = "photos_per_second") -> list[float]:
    return [float(figure[name]) for figure in figures]


if __name__ == "__main__":
    sys.exit(main())
