"""Scoring of a test split, measured: `make bench-evaluation`.

    PYTHONPATH=model_code python -m benchmarks.evaluation --photos 500 --rounds 5
    PYTHONPATH=model_code python -m benchmarks.evaluation --quick

In rounds, in a random order: the evaluation's own scoring; decoding and network in turns, which is the usual way; and
the network alone on decoded photos. Their answers are compared bit by bit. Needs a quiet machine. Writes
build/benchmarks/evaluation.json and build/benchmarks/evaluation.md.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.evaluation.score import KINDS
from benchmarks.in_turns import in_turns, markdown, ratios, spread, times
from benchmarks.modules import Say, progress, run_module
from benchmarks.options import at_least
from benchmarks.outcome import publish

Figure = dict[str, Any]
Found = Mapping[str, Sequence[Figure]]
_QUICK = {"rounds": 1, "photos": 100, "backbone": "shufflenet_v2_x0_5", "image_size": 64}
_NAMES = {
    "ours": "ours: each thread decodes a batch and runs it",
    "turns": "in turns: all decode a batch, then all run it",
    "network": "limit: the network alone",
}


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    say, here = progress(time.monotonic()), machine.describe()
    try:
        say(f"{options.backbone}, {options.photos} photos")
        out = options.out.resolve()
        folder = out / "evaluation" / f"{options.backbone}-{options.image_size}-{options.photos}"
        words = ["--folder", folder, "--models", out / "models", "--photos", options.photos]
        words += ["--backbone", options.backbone, "--image-size", options.image_size]
        words += ["--data", options.data.resolve()] if options.data else []
        made = json.loads(run_module("benchmarks.evaluation.prepare", *map(str, words)))
        found = in_turns({kind: _side(kind, made, say) for kind in KINDS}, options.rounds)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = "\n".join(
        [
            f"{options.backbone} at {options.image_size} pixels, fp32; {machine.line(here)}; {options.rounds} rounds, "
            f"{options.photos} stored photos. Medians (least to most).",
            "",
            table(found),
            "",
            *(f"- {line}" for line in said(found)),
        ]
    )
    document = {"machine": here, "photos": options.photos, "backbone": options.backbone, "sides": found}
    publish(options.out, "evaluation", document, text)
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.evaluation", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=500, help="so many of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a small network, one round: to see that all works")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    at_least(parser, options, photos=64, rounds=1, image_size=32)  # the network is fitted to 64
    return options


def _side(kind: str, made: Mapping[str, str], say: Say) -> Callable[[], Figure]:
    def measured() -> Figure:
        words = ("--split", made["split"], "--model", made["model"], "--kind", kind)
        found: Figure = json.loads(run_module("benchmarks.evaluation.score", *words))
        say(f"{kind}: {found['photos_per_second']:.0f} photos/s")
        return found

    return measured


def table(found: Found) -> str:
    """A row a side."""
    same = found["turns"][0]["answers"]
    rows = [
        [
            _NAMES[kind],
            spread(_speeds(figures), 0),
            "yes" if all(figure["answers"] == same for figure in figures) else "no",
        ]
        for kind, figures in found.items()
    ]
    return markdown(["", "photos/s", "same answers to the last bit"], rows)


def said(found: Found) -> list[str]:
    """The ratios in words."""
    ours = _speeds(found["ours"])
    median, least, most = ratios(ours, _speeds(found["network"]))
    return [
        f"{times(ratios(ours, _speeds(found['turns'])))} the photos/s of decoding and network in turns",
        f"{median:.0%} ({least:.0%} to {most:.0%}) of the network alone",
    ]


def _speeds(figures: Sequence[Figure]) -> list[float]:
    return [float(figure["photos_per_second"]) for figure in figures]


if __name__ == "__main__":
    sys.exit(main())
