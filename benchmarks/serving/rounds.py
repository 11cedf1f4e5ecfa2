"""The measurement: each peer tuned alike, then rounds in which every server is started, asked and ended in turn."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving.errors import BenchError
from benchmarks.serving.servers import ROOT, TUNING, Place, Running, Server, Setup, python_of, running
from local.jobs.workspace import free_port

LIMIT = "limit: no HTTP, no checks"
_TUNING_SHARE = 0.4  # of a round's window
Say = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """What a run is about. `photos` is a folder of JPEG files; windows are `seconds` long."""

    artifact: Path
    photos: Path
    environments: Path
    folder: Path
    seconds: float
    rounds: int
    concurrency: tuple[int, ...]
    say: Say


@dataclass(frozen=True)
class Entry:
    """One line of the comparison: a server in one setup. `headline`: tuned, or ours."""

    server: Server
    setup: Setup
    headline: bool

    @property
    def name(self) -> str:
        """As the tables call it."""
        return self.server.name if self.headline else f"{self.server.name}, default settings"


@dataclass
class Figures:
    """What one entry had, a value a round. Rates are requests/s, latencies ms, memory MiB, start seconds."""

    setup: str
    rates: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    failed: int = 0
    counts: list[int | None] = field(default_factory=list)


def tuned(bench: Bench, server: Server) -> tuple[Setup, dict[str, float]]:
    """The setup of the grid with most requests/s at the first concurrency, and what each had.

    BenchError when none gave an answer.
    """
    found: dict[Setup, float] = {}
    for workers, threads in TUNING:
        setup = Setup(workers, threads)
        try:
            with _running(bench, server, setup) as there:
                answered = _load(bench, there, bench.concurrency[0], bench.seconds * _TUNING_SHARE)
        except BenchError as error:
            bench.say(f"tuning {server.name}, {setup}: {error}")
            continue
        found[setup] = len(answered["latencies"]) / answered["seconds"]
        bench.say(f"tuning {server.name}, {setup}: {found[setup]:.0f} requests/s")
    if not found:
        raise BenchError(f"{server.name} answered in no setup of the grid; its logs are in {bench.folder}")
    best = max(found, key=found.__getitem__)
    return best, {str(setup): rate for setup, rate in found.items()}


def measure(bench: Bench, entries: Sequence[Entry], seed: int = 0) -> tuple[dict[str, Figures], list[float]]:
    """Figures of every entry by name, and photos/s of the limit by round; in each round all come once, shuffled."""
    figures = {entry.name: Figures(str(entry.setup)) for entry in entries}
    limits: list[float] = []
    order = random.Random(seed)
    for number in range(bench.rounds):
        turns: list[Entry | None] = [*entries, None]
        order.shuffle(turns)
        for entry in turns:
            if entry is None:
                limits.append(_limit(bench))
                bench.say(f"round {number + 1} of {bench.rounds}, {LIMIT}: {limits[-1]:.0f} photos/s")
            else:
                _turn(bench, entry, figures[entry.name])
                rates = ", ".join(f"{figures[entry.name].rates[clients][-1]:.0f}" for clients in bench.concurrency)
                bench.say(f"round {number + 1} of {bench.rounds}, {entry.name}: {rates} requests/s")
    return figures, limits


def _turn(bench: Bench, entry: Entry, figures: Figures) -> None:
    with _running(bench, entry.server, entry.setup) as there:
        figures.start.append(there.first_answer)
        if not figures.counts:
            figures.counts = json.loads(_client(bench, there, "--counts"))
        for clients in bench.concurrency:
            answered = _load(bench, there, clients, bench.seconds)
            latencies = answered["latencies"]
            if not latencies:
                raise BenchError(f"{entry.name} answered nothing to {clients} clients; its log is {there.log}")
            figures.failed += answered["failed"]
            figures.rates.setdefault(clients, []).append(len(latencies) / answered["seconds"])
            for percent, where in ((50, figures.p50), (99, figures.p99)):
                where.setdefault(clients, []).append(float(np.percentile(latencies, percent)))
        figures.memory.append(there.memory_mib())


def _running(bench: Bench, server: Server, setup: Setup) -> AbstractContextManager[Running]:
    folder = bench.folder / "".join(letter for letter in server.name if letter.isalnum())
    place = Place(python_of(server.requirements, bench.environments), bench.artifact, folder, free_port())
    first = min(bench.photos.glob("*.jpg"))
    return running(server, setup, place, first.read_bytes())


def _load(bench: Bench, there: Running, clients: int, seconds: float) -> Mapping[str, Any]:
    words = ("--concurrency", str(clients), "--seconds", f"{seconds:g}")
    return dict(json.loads(_client(bench, there, *words)))


def _client(bench: Bench, there: Running, *words: str) -> str:
    named = ("--server", there.server.name, "--port", str(there.port), "--photos", str(bench.photos))
    return _module("benchmarks.serving.load", *named, *words)


def _limit(bench: Bench) -> float:
    words = ("--artifact", str(bench.artifact), "--photos", str(bench.photos), "--seconds", f"{bench.seconds:g}")
    return float(_module("benchmarks.serving.limit", *words))


def _module(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", name, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'model_code'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise BenchError(f"{name} failed: {done.stderr.strip()[-800:]}")
    return done.stdout


def progress(began: float) -> Say:
    """Lines with the seconds since `began`, on stderr: stdout is for the table."""

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:7.1f} s] {text}", file=sys.stderr, flush=True)

    return say
