"""The measurement: each peer tuned alike, then rounds in which every server is started, asked and ended in turn."""

import json
import os
import random
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.modules import Say, run_module
from benchmarks.serving.servers import Place, Running, Server, Setup, python_of, running, tuning_grid
from local.jobs.workspace import free_port

LIMIT = "limit: no HTTP, no checks"
_TUNING_SHARE = 0.4  # of a round's window


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
    """The setup of the grid with most requests/s, as the geometric mean over the numbers of clients, and what each had.

    BenchError when none gave an answer.
    """
    found: dict[Setup, float] = {}
    for setup in tuning_grid(len(os.sched_getaffinity(0))):
        try:
            with _running(bench, server, setup) as there:
                windows = [_load(bench, there, clients, bench.seconds * _TUNING_SHARE) for clients in bench.concurrency]
        except BenchError as error:
            bench.say(f"tuning {server.name}, {setup}: {error}")
            continue
        rates = [len(window["latencies"]) / window["seconds"] for window in windows]
        found[setup] = statistics.geometric_mean(rates) if all(rates) else 0.0
        bench.say(f"tuning {server.name}, {setup}: {found[setup]:.0f} requests/s")
    if not found:
        raise BenchError(f"{server.name} answered in no setup of the grid; its logs are in {bench.folder}")
    best = max(found, key=found.__getitem__)
    return best, {str(setup): rate for setup, rate in found.items()}


def measure(bench: Bench, entries: Sequence[Entry], missing: list[str]) -> tuple[dict[str, Figures], list[float]]:
    """Figures of every entry by name, and photos/s of the limit by round; in each round all come once, shuffled.

    A peer that fails once is left out, with the reason in `missing`; BenchError when it is ours that fails.
    """
    figures = {entry.name: Figures(str(entry.setup)) for entry in entries}
    limits: list[float] = []
    order = random.Random(0)
    for number in range(bench.rounds):
        turns: list[Entry | None] = [*entries, None]
        order.shuffle(turns)
        for entry in turns:
            if entry is None:
                limits.append(_limit(bench))
                bench.say(f"round {number + 1} of {bench.rounds}, {LIMIT}: {limits[-1]:.0f} photos/s")
            elif entry.name in figures:
                try:
                    _turn(bench, entry, figures[entry.name])
                except BenchError as error:
                    if entry.server.requirements is None:
                        raise
                    missing.append(f"{entry.name}: {error}")
                    bench.say(missing[-1])
                    del figures[entry.name]
                    continue
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
            figures.p50.setdefault(clients, []).append(statistics.median(latencies))
            figures.p99.setdefault(clients, []).append(sorted(latencies)[len(latencies) * 99 // 100])
        figures.memory.append(there.memory_mib())


def _running(bench: Bench, server: Server, setup: Setup) -> AbstractContextManager[Running]:
    folder = bench.folder / "".join(letter for letter in server.name if letter.isalnum())
    place = Place(python_of(server.requirements, bench.environments), bench.artifact, folder, free_port())
    first = min(bench.photos.glob("*.jpg"))
    return running(server, setup, place, first.read_bytes())


def _load(bench: Bench, there: Running, clients: int, seconds: float) -> Mapping[str, Any]:
    words = ("--concurrency", str(clients), "--seconds", f"{seconds:g}")
    return dict(json.loads(_client(bench, there, *words, seconds=seconds)))


def _client(bench: Bench, there: Running, *words: str, seconds: float = 0.0) -> str:
    named = ("--server", there.server.name, "--port", str(there.port), "--photos", str(bench.photos))
    return run_module("benchmarks.serving.load", *named, *words, seconds=seconds)


def _limit(bench: Bench) -> float:
    words = ("--artifact", str(bench.artifact), "--photos", str(bench.photos), "--seconds", f"{bench.seconds:g}")
    return float(run_module("benchmarks.serving.limit", *words, seconds=bench.seconds))
