"""All measurements one after the other: `make bench`.

    python -m benchmarks                          # hours; writes the tables into docs/benchmarks.md
    python -m benchmarks --only training,api      # some of them
    python -m benchmarks --quick                  # minutes, to see that all works; leaves the docs alone

Each part is a module with more options of its own, as in `python -m benchmarks.serving --help`, and writes its raw
figures and its table to build/benchmarks/. Needs a quiet machine.
"""

import subprocess
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.modules import ROOT, environment, progress
from benchmarks.outcome import inserted

DOCS = Path("docs/benchmarks.md")


@dataclass(frozen=True)
class Part:
    """One module: its options, those of a quick run, and the tables that it writes."""

    module: str
    tables: tuple[str, ...]
    options: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ("--quick",)
    """None: it is left out of a quick run."""


_SMALL = ("--quick", "--backbone", "shufflenet_v2_x0_5", "--image-size", "64")  # it is exported in no time
PARTS = {
    "serving": Part("serving", ("serving_mobilenet_v2",), quick=(*_SMALL, "--servers", "none")),
    "serving-resnet50": Part("serving", ("serving_resnet50",), ("--backbone", "resnet50"), quick=None),
    "training": Part("training", ("training",), quick=_SMALL),
    "preprocess": Part("preprocess", ("preprocess",)),
    "evaluation": Part("evaluation", ("evaluation",), quick=_SMALL),
    "capacity": Part("capacity", ("capacity",), quick=_SMALL),
    "run": Part("local_run", ("run",), quick=None),  # make run itself is as quick a look
    "api": Part("api_overhead", ("api_overhead",), quick=("--rounds", "20")),
    "api-memory": Part("api_memory", ("api_memory",), quick=("--size", "100000")),
}


def main(arguments: list[str] | None = None) -> int:
    """The command: 1 when a part failed, after all others."""
    parser = ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help=f"some of {', '.join(PARTS)}, as in training,api")
    parser.add_argument("--quick", action="store_true", help="short windows, one round: no figures to quote")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--docs", type=Path, default=DOCS, help="the page whose tables a run that is not quick renews")
    options = parser.parse_args(arguments)
    names = _names(options.only) if options.only else list(PARTS)
    if strange := [name for name in names if name not in PARTS]:
        parser.error(f"--only names {', '.join(strange)}; there are {', '.join(PARTS)}")
    say = progress(time.monotonic())
    failed = []
    for name in names:
        part = PARTS[name]
        if options.quick and part.quick is None:
            say(f"{name}: not in a quick run")
            continue
        say(name)
        words = [*part.options, *((part.quick or ()) if options.quick else ())]
        if _run(part.module, [*words, "--out", str(options.out)]):
            failed.append(name)
        elif not options.quick:
            try:
                _renew(options.docs, part.tables, options.out)
            except (BenchError, OSError) as error:
                print(f"error: {options.docs}: {error}", file=sys.stderr)
                failed.append(name)
    if failed:
        print(f"error: {', '.join(failed)} failed; the lines above say why", file=sys.stderr)
    return 1 if failed else 0


def _names(only: str) -> list[str]:
    return [name.strip() for name in only.split(",")]


def _run(module: str, words: list[str]) -> int:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *words], env=environment(), cwd=ROOT, check=False
    )
    print(flush=True)
    return done.returncode


def _renew(docs: Path, tables: tuple[str, ...], out: Path) -> None:
    page = docs.read_text(encoding="utf-8")
    for name in tables:
        page = inserted(page, name, (out / f"{name}.md").read_text(encoding="utf-8"))
    docs.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
