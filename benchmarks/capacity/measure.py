"""What one instance carries: our server as a process on all CPUs of this machine, asked harder and harder."""

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.capacity.others import QUIET, Others
from benchmarks.capacity.search import confirmed, highest
from benchmarks.capacity.targets import Measured
from benchmarks.capacity.windows import Window
from benchmarks.errors import BenchError
from benchmarks.modules import Say, run_module
from benchmarks.serving.servers import SERVERS, Place, Running, Setup, python_of, running
from local.jobs.workspace import free_port
from tally.cpus import usable_cpus

_OURS = SERVERS[0]
_CLIENTS = 8  # a CPU, of the closed loop that keeps all workers busy
_FIRST_SHARE = 0.5  # of what that answers: where the search begins
_LONG = 4  # windows: how long the rate that was found must hold


@dataclass(frozen=True)
class Plan:
    """How to measure. Windows are `seconds` long; `resolution` is how near the search comes, as a share of the rate;
    `attempts` how often a window that others disturb is offered."""

    artifact: Path
    photos: Path
    folder: Path
    budget_ms: float
    seconds: float
    resolution: float
    starts: int
    attempts: int
    seed: int
    say: Say


@dataclass(frozen=True)
class Carried:
    """What was found. `starts` are seconds from the start of the process to the first answer, `alone_ms` latencies of
    one client that waits for each answer, `busy_rate` the answers per second to clients that keep all workers busy."""

    cpus: int
    starts: tuple[float, ...]
    alone_ms: tuple[float, ...]
    busy_rate: float
    windows: tuple[Window, ...]
    held: Window

    @property
    def most(self) -> float:
        """Answers per second that were seen at most."""
        return max(self.busy_rate, *(len(window.latencies) / window.seconds for window in self.windows))

    @property
    def measured(self) -> Measured:
        """What settings are derived from."""
        return Measured(self.held.rate, self.held.mean, statistics.median(self.starts))


def measure(plan: Plan) -> Carried:
    """Start the server `plan.starts` times, and find the highest rate that the last one carries.

    BenchError when it does not answer, or carries no rate steadily.
    """
    starts: list[float] = []
    for _ in range(plan.starts - 1):
        with _server(plan, starts):
            pass
    with _server(plan, starts) as there:
        cpus = usable_cpus()
        alone, busy = _closed(plan, there, 1), _closed(plan, there, _CLIENTS * cpus)
        most = len(busy) / plan.seconds
        middle = statistics.median(alone)
        plan.say(f"alone a request takes {middle:.1f} ms; busy clients get {most:.0f} answers/s")
        windows: list[Window] = []
        ask = _asked(plan, there, windows)
        found = highest(lambda rate: ask(rate, plan.seconds), _FIRST_SHARE * most, plan.resolution)
        confirmed(lambda rate: ask(rate, _LONG * plan.seconds), found, plan.resolution)
    return Carried(cpus, tuple(starts), tuple(alone), most, tuple(windows), windows[-1])


@contextmanager
def _server(plan: Plan, starts: list[float]) -> Iterator[Running]:
    place = Place(python_of(None, plan.folder), plan.artifact, plan.folder, free_port())
    with running(_OURS, Setup(), place, min(plan.photos.glob("*.jpg")).read_bytes()) as there:
        starts.append(there.first_answer)
        plan.say(f"start {len(starts)} of {plan.starts}: first answer after {there.first_answer:.2f} s")
        yield there


def _closed(plan: Plan, there: Running, clients: int) -> list[float]:
    """Latencies in ms of clients that wait for each answer."""
    words = ("--server", _OURS.name, "--port", there.port, "--photos", plan.photos, "--concurrency", clients)
    window = ("--seconds", f"{plan.seconds:g}")
    said = json.loads(run_module("benchmarks.serving.load", *map(str, words), *window, seconds=plan.seconds))
    latencies: list[float] = said["latencies"]
    if said["failed"] or not latencies:
        raise BenchError(
            f"of {clients} clients the server answered {len(latencies)} requests and failed {said['failed']}; its log "
            f"is {there.log}"
        )
    return latencies


def _asked(plan: Plan, there: Running, windows: list[Window]) -> Callable[[float, float], bool]:
    """Offers a rate for some seconds, keeps the window, and says whether the rate was carried.

    A window in which it was not says little when other processes had the CPUs: then it is offered again.
    """
    others = Others(there.process)

    def ask(rate: float, seconds: float) -> bool:
        for _ in range(plan.attempts):
            words = ("--port", there.port, "--photos", plan.photos, "--seed", plan.seed + len(windows))
            asked = ("--rate", f"{rate:.6g}", "--seconds", f"{seconds:g}")
            others.since()
            said = run_module("benchmarks.capacity.offer", *map(str, words), *asked, seconds=seconds)
            window = replace(Window.read(json.loads(said)), other_cpus=others.since())
            windows.append(window)
            objection = window.objection(plan.budget_ms)
            latency = f"p99 {window.p99:.0f} ms" if window.latencies else "no answer"
            disturbed = window.other_cpus > QUIET
            took = f"; others took {window.other_cpus:.2f} CPUs" if disturbed else ""
            plan.say(f"{rate:.1f}/s for {seconds:g} s: {latency}; {objection or 'carried'}{took}")
            if objection is None or not disturbed:
                break
        return objection is None

    return ask
