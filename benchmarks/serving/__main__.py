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
import signal
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.errors import BenchError
from benchmarks.modules import Say, progress, run_module
from benchmarks.options import at_least
from benchmarks.outcome import publish
from benchmarks.serving import report, rounds
from benchmarks.serving.environments import environment
from benchmarks.serving.rounds import Bench, Entry
from benchmarks.serving.servers import SERVERS, Setup

_QUICK = {"rounds": 1, "seconds": 2.0, "photos": 100}
_NONE = "none"


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a person can mend what is wrong, after a line that says it."""
    options = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):  # servers end with the run
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    say = progress(time.monotonic())
    here = machine.describe()
    try:
        wanted = _wanted(options.servers)
        say(f"{options.photos} photos; exporting {options.backbone}")
        bench, sizes = _prepared(options, say)
        entries, tuning, missing = _entries(bench, wanted, say, quick=options.quick)
        figures, limits = rounds.measure(bench, entries, missing)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 128 + signal.SIGINT
    found = report.result(entries, figures, limits)
    settings = {
        "backbone": options.backbone,
        "image_size": options.image_size,
        "photos": {"number": options.photos, "from": str(options.data or "drawn"), **sizes},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "concurrency": options.concurrency,
    }
    text = "\n".join(
        [
            f"{options.backbone} at {options.image_size} pixels, fp32; {machine.line(here)}; {options.rounds} rounds, "
            f"windows of {options.seconds:g} s, {options.photos} photos. Medians (least to most).",
            "",
            report.table(found, options.concurrency),
            "",
            *(f"- {line}" for line in report.sentences(found)),
            *(f"- not measured: {line}" for line in missing),
        ]
    )
    document = {"machine": here, **settings, "tuning": tuning, "missing": missing, **found}
    publish(options.out, f"serving_{options.backbone}", document, text)
    return 0


def _options(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    named = ", ".join(server.requirements for server in SERVERS if server.requirements)
    parser.add_argument("--backbone", default="mobilenet_v2", help="a classifier of torchvision")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--weights", type=Path, help="a file for the backbone; random without")
    parser.add_argument("--data", type=Path, help="a folder of JPEG files; drawn photos without")
    parser.add_argument("--photos", type=int, default=500, help="so many of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a window")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 16], help="clients at once")
    parser.add_argument("--servers", help=f"beside ours only some of {named}, as in flask,litserve; or {_NONE}")
    parser.add_argument(
        "--quick", action="store_true", help="short windows, one round, no tuning: to see that all works"
    )
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**_QUICK)
    options = parser.parse_args(arguments)
    at_least(parser, options, photos=2, rounds=1, seconds=0.1, image_size=8)
    if min(options.concurrency) < 1:
        parser.error(f"--concurrency is {min(options.concurrency)}; it must be at least 1")
    return options


def _wanted(servers: str | None) -> set[str]:
    """The peers to install, by their requirements; BenchError for a name that there is not."""
    known = {server.requirements for server in SERVERS if server.requirements}
    if servers is None:
        return known
    named = {name.strip().lower() for name in servers.split(",")} - {_NONE}
    if strange := named - known:
        choice = ", ".join(sorted(known))
        raise BenchError(f"--servers names {', '.join(sorted(strange))}; there are {choice}, or {_NONE}")
    return named


def _prepared(options: Namespace, say: Say) -> tuple[Bench, dict[str, Any]]:
    """Photos and artifact, and the sizes of the photos."""
    folder = (options.out / "serving").resolve()
    words = ["--folder", folder, "--models", (options.out / "models").resolve(), "--photos", options.photos]
    words += ["--backbone", options.backbone, "--image-size", options.image_size]
    for name in ("data", "weights"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name).resolve()]
    made = json.loads(run_module("benchmarks.serving.prepare", *map(str, words)))
    bench = Bench(
        artifact=Path(made["artifact"]),
        photos=Path(made["photos"]),
        environments=folder / "environments",
        folder=folder / "servers",
        seconds=options.seconds,
        rounds=options.rounds,
        concurrency=tuple(options.concurrency),
        say=say,
    )
    return bench, made["sizes"]


def _entries(
    bench: Bench, wanted: set[str], say: Say, *, quick: bool
) -> tuple[list[Entry], dict[str, dict[str, float]], list[str]]:
    """What is compared, what tuning found, and the peers that cannot be measured, with the reason."""
    entries, tuning, missing = [], {}, []
    for server in SERVERS:
        if server.requirements is None:
            entries.append(Entry(server, Setup(), headline=True))
            continue
        if server.requirements not in wanted:
            continue
        try:
            say(f"installing {server.name}")
            environment(server.requirements, bench.environments)
            setup, tuning[server.name] = (_guess(), {}) if quick else rounds.tuned(bench, server)
        except BenchError as error:
            missing.append(f"{server.name}: {error}")
            say(missing[-1])
            continue
        entries.append(Entry(server, setup, headline=True))
        if server.runtime == "torch" and not quick:
            entries.append(Entry(server, Setup(), headline=False))
    return entries, tuning, missing


def _guess() -> Setup:
    """A process a CPU with one thread each: threads of several processes fight."""
    return Setup(len(os.sched_getaffinity(0)), 1)


if __name__ == "__main__":
    sys.exit(main())
