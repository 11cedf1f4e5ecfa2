"""Our endpoint beside the servers that people use instead: `make bench-serving`.

    PYTHONPATH=model_code python -m benchmarks.serving --backbone mobilenet_v2 --rounds 5 --seconds 10
    PYTHONPATH=model_code python -m benchmarks.serving --quick

All servers answer with the same network about the same photos, prepared by the same code. Peers are installed into
environments of their own; each is tuned over the same grid of workers and threads before it is compared, and is shown
with its default settings, too. In every round each server is started, asked by 4 and by 16 clients, and ended, in a
random order. Needs a quiet machine. Writes build/benchmarks/serving_<backbone>.json and .md.
"""

import json
import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from benchmarks import machine
from benchmarks.serving import report, rounds
from benchmarks.serving.environments import environment
from benchmarks.serving.errors import BenchError
from benchmarks.serving.photos import drawn_photos, read_photos, sizes
from benchmarks.serving.rounds import Bench, Entry, Say
from benchmarks.serving.servers import SERVERS, Server, Setup

_QUICK = {"rounds": 1, "seconds": 2.0, "photos": 100}


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    say = rounds.progress(time.monotonic())
    here = machine.describe()
    try:
        bench = _prepare(options, say)
        entries, tuning, missing = _entries(bench, options, say)
        figures, limits = rounds.measure(bench, entries)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found = report.result(entries, figures, limits)
    photos = [file.read_bytes() for file in sorted(bench.photos.glob("*.jpg"))]
    settings = {
        "backbone": options.backbone,
        "image_size": options.image_size,
        "photos": {"number": len(photos), "from": str(options.data or "drawn"), **sizes(photos)},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "concurrency": options.concurrency,
    }
    text = "\n".join(
        [
            f"{options.backbone} at {options.image_size} pixels, fp32; {machine.line(here)}; {options.rounds} rounds, "
            f"windows of {options.seconds:g} s, {len(photos)} photos. Medians (least to most).",
            "",
            report.table(found, options.concurrency),
            "",
            *(f"- {line}" for line in report.sentences(found)),
            *(f"- not measured: {line}" for line in missing),
        ]
    )
    print(text)
    name = options.out / f"serving_{options.backbone}"
    document = {"machine": here, **settings, "tuning": tuning, "missing": missing, **found}
    name.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    name.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--weights", type=Path, help="a file for the backbone; random without")
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=500, help="so many of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a window")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 16], help="clients at once")
    parser.add_argument("--servers", help="only those, as in flask,torchserve; ours always takes part")
    parser.add_argument("--quick", action="store_true", help="one round of short windows, to see that all works")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args(arguments)
    if options.quick:
        for name, value in _QUICK.items():
            setattr(options, name, value)
    return options


def _prepare(options: Namespace, say: Say) -> Bench:
    """Photos and artifact, made anew: both take seconds."""
    folder = (options.out / "serving").resolve()
    photos = folder / "photos"
    shutil.rmtree(photos, ignore_errors=True)
    photos.mkdir(parents=True)
    content = read_photos(options.data, options.photos) if options.data else drawn_photos(options.photos)
    for number, photo in enumerate(content):
        (photos / f"{number:05d}.jpg").write_bytes(photo)
    say(f"{len(content)} photos; exporting {options.backbone}")
    from benchmarks.serving.artifact import make_artifact  # torch takes seconds, and --help must not

    artifact = make_artifact(folder / options.backbone, content, options.backbone, options.image_size, options.weights)
    return Bench(
        artifact=artifact,
        photos=photos,
        environments=folder / "environments",
        folder=folder / "servers",
        seconds=options.seconds,
        rounds=options.rounds,
        concurrency=tuple(options.concurrency),
        say=say,
    )


def _entries(bench: Bench, options: Namespace, say: Say) -> tuple[list[Entry], dict[str, dict[str, float]], list[str]]:
    """What is compared, what tuning found, and the peers that cannot be measured, with the reason."""
    entries, tuning, missing = [], {}, []
    for server in SERVERS:
        if server.requirements is None:
            entries.append(Entry(server, Setup(), headline=True))
            continue
        if options.servers and server.requirements not in options.servers.split(","):
            continue
        try:
            say(f"installing {server.name}")
            environment(server.requirements, bench.environments)
            setup, tuning[server.name] = (_guess(), {}) if options.quick else rounds.tuned(bench, server)
        except BenchError as error:
            missing.append(f"{server.name}: {error}")
            say(missing[-1])
            continue
        entries.append(Entry(server, setup, headline=True))
        if _shown_untuned(server) and not options.quick:
            entries.append(Entry(server, Setup(), headline=False))
    return entries, tuning, missing


def _shown_untuned(server: Server) -> bool:
    return server.runtime == "torch"


def _guess() -> Setup:
    """A process a CPU with one thread each, which is what tuning ends with as a rule."""
    return Setup(len(os.sched_getaffinity(0)), 1)


if __name__ == "__main__":
    sys.exit(main())
