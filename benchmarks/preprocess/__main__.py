"""Preprocess, measured: `make bench-preprocess`.

    PYTHONPATH=model_code python -m benchmarks.preprocess --photos 5000 --rounds 5
    PYTHONPATH=model_code python -m benchmarks.preprocess --quick

In rounds, in a random order: the job as SageMaker starts it, on a tenth, a fifth, half and all of the photos; bare
decoding, resizing and encoding of all, a process a CPU; and the job's memory on a tenth and on all. Needs a quiet
machine. Writes build/benchmarks/preprocess.json and build/benchmarks/preprocess.md.
"""

import json
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.in_turns import in_turns, markdown, ratios, spread
from benchmarks.modules import Say, progress, run_module
from benchmarks.options import at_least
from benchmarks.outcome import publish
from tally.data.projection import Projected, sentences

Figure = dict[str, Any]
Found = Mapping[str, Sequence[Figure]]
_QUICK = {"rounds": 1, "photos": 400}
_SHARES = (10, 5, 2, 1)
_LIMIT = "limit: decode, resize, encode"


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    say, here = progress(time.monotonic()), machine.describe()
    numbers = [options.photos // share for share in _SHARES]
    try:
        say(f"{options.photos} photos")
        words = ["--folder", options.out / "preprocess", "--numbers", *numbers]
        if options.data:
            words += ["--data", options.data.resolve()]
        made = json.loads(run_module("benchmarks.preprocess.prepare", *map(str, words)))
        found = in_turns(_sides(options, made["folders"], say), options.rounds)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = made["sizes"]
    text = "\n".join(
        [
            f"{'Photos of ' + str(options.data) if options.data else 'Drawn photos'} of {size['width']} x "
            f"{size['height']} pixels and {size['bytes']:,} bytes (medians), stored for a network of "
            f"{options.image_size} pixels; {machine.line(here)}; {options.rounds} rounds. Medians (least to most).",
            "",
            table(found, numbers),
            "",
            *(f"- {line}" for line in said(found, numbers)),
        ]
    )
    photos = {"number": options.photos, "from": str(options.data or "drawn"), **size}
    document = {"machine": here, "photos": photos, "rounds": options.rounds, "sides": found}
    publish(options.out, "preprocess", document, text)
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.preprocess", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=5000, help="so many of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few photos, one round: to see that all works")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    at_least(parser, options, photos=400, rounds=1, image_size=32)  # 40 photos fill all splits
    return options


def _sides(options: Namespace, folders: Mapping[str, str], say: Say) -> dict[str, Callable[[], Figure]]:
    def side(name: str, module: str, photos: str, *words: str) -> Callable[[], Figure]:
        def measured() -> Figure:
            common = ("--folder", folders[photos], "--image-size", str(options.image_size))
            found: Figure = json.loads(run_module(f"benchmarks.preprocess.{module}", *common, *words))
            say(f"{name}: {found['photos_per_second']:.0f} photos/s" + (f", {found['mib']:.0f} MiB" if words else ""))
            return found

        return measured

    few, *_, all_photos = folders
    jobs = {job(number): side(job(number), "job", number) for number in folders}
    memory = {held(number): side(held(number), "job", number, "--memory") for number in (few, all_photos)}
    return {_LIMIT: side(_LIMIT, "limit", all_photos), **jobs, **memory}


def job(photos: object) -> str:
    """The name of a side."""
    return f"job, {photos} photos"


def held(photos: object) -> str:
    """The name of a side whose memory is looked at."""
    return f"memory, {photos} photos"


def table(found: Found, numbers: Sequence[int]) -> str:
    """A row a side."""
    rows = [[_LIMIT, spread(_of(found[_LIMIT]), 0), "", ""]]
    for number in numbers:
        figures, memory = found[job(number)], found.get(held(number))
        mib = spread(_of(memory, "mib"), 0) if memory else ""
        rows.append([job(number), spread(_of(figures), 0), spread(_of(figures, "seconds"), 2), mib])
    return markdown(["", "photos/s", "seconds", "memory MiB"], rows)


def said(found: Found, numbers: Sequence[int]) -> list[str]:
    """What the figures come to, in words."""
    few, *_, middle, most = numbers
    seconds = {number: _of(found[job(number)], "seconds") for number in numbers}
    further = [(most - few) / (late - early) for late, early in zip(seconds[most], seconds[few], strict=True)]
    late = [many - half for many, half in zip(seconds[most], seconds[middle], strict=True)]
    early = [half - some for half, some in zip(seconds[middle], seconds[few], strict=True)]
    scale = (middle - few) / (most - middle)
    memory = ratios(_of(found[held(most)], "mib"), _of(found[held(few)], "mib"))
    projection = [Projected(**row) for row in found[job(most)][-1]["projection"]]
    return [
        f"from start to end, {_share(_of(found[job(most)]), _of(found[_LIMIT]))} of the limit",
        f"each further photo, from {few} to {most}: {_share(further, _of(found[_LIMIT]))} of the limit",
        f"time is linear in photos where this is 1: a photo from {middle} to {most} takes "
        f"{statistics.median(scale * one / other for one, other in zip(late, early, strict=True)):.2f} times as long "
        f"as one from {few} to {middle}",
        f"memory on {most} photos is {memory[0]:.2f} times ({memory[1]:.2f} to {memory[2]:.2f}) that on {few}",
        *(f"the job says, {line}" for line in sentences(projection)),
    ]


def _share(ours: Sequence[float], theirs: Sequence[float]) -> str:
    median, least, most = ratios(ours, theirs)
    return f"{median:.0%} ({least:.0%} to {most:.0%})"


def _of(figures: Sequence[Figure], name: str = "photos_per_second") -> list[float]:
    return [float(figure[name]) for figure in figures]


if __name__ == "__main__":
    sys.exit(main())
