"""The API under a mix of good and hostile requests, on the platform that `make up` keeps running: `make load`.

    python -m benchmarks.api_load --build build/run --seconds 120 --concurrency 16

Prints how long each kind of request took, and what the functions' processes held. Ends with 1 when an answer had
another status or code than its request must get, or when memory grew.
"""

import itertools
import math
import random
import statistics
import sys
import threading
import time
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import urllib3

from benchmarks.api_place import find_place, own_key, processes
from benchmarks.api_requests import Kind, Place, good, hostile
from benchmarks.memory_watch import Held, MemoryWatch
from local.emulator.client import EmulatorProcess
from local.platform import running_emulator
from local.settings import ENVIRONMENT
from ops import environments
from ops.account import Account

_SECONDS = 40.0  # for one answer; API Gateway gives up after 29
_SLOW_SHARE = 8  # one in so many callers sends what keeps the API waiting
_SHOWN = 10  # complaints
_GROWTH = {
    "function api": 8.0,
    "function about": 8.0,
}  # MiB that a process may hold more late than early, in the median
_KEPT = 16.0  # KiB that the emulated account may keep of each request: it keeps logs and metrics for ever


@dataclass
class Results:
    """What came of the requests, by kind."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    complaints: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def load(place: Place, *, seconds: float, concurrency: int, seed: int) -> Results:
    """Send requests from `concurrency` callers at once, each as soon as its last one is answered."""
    kinds = [*good(place), *hostile(place)]
    fast, slow = [kind for kind in kinds if not kind.slow], [kind for kind in kinds if kind.slow]
    results, number, lock = Results(), itertools.count(), threading.Lock()
    end = time.monotonic() + seconds
    pool = urllib3.PoolManager(maxsize=concurrency, retries=False, timeout=_SECONDS)

    def call(caller: int) -> None:
        mine = slow if caller < concurrency // _SLOW_SHARE else fast
        chosen, shares = random.Random(seed * 1000 + caller), [kind.share for kind in mine]
        # Each kind once to begin with, so that even a short load has them all.
        first = iter(mine[caller % len(mine) :: max(1, concurrency - concurrency // _SLOW_SHARE)])
        while time.monotonic() < end:
            kind = next(first, None) or chosen.choices(mine, shares)[0]
            began = time.perf_counter()
            status, complaint = _send(pool, place, kind, next(number))
            took = time.perf_counter() - began
            with lock:
                results.seconds[kind.name].append(took)
                results.statuses[status] += 1
                if complaint:
                    results.complaints.append(f"{kind.name}: {complaint}")

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(concurrency)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    pool.clear()
    return results


def _send(pool: urllib3.PoolManager, place: Place, kind: Kind, number: int) -> tuple[int, str | None]:
    request = kind.make(number)
    headers = dict(request.headers)
    if request.key:
        headers["x-api-key"] = place.key if request.key == "right" else request.key
    try:
        answer = pool.request(request.method, place.url + request.path, body=request.body, headers=headers)
    except urllib3.exceptions.HTTPError as error:
        return 0, f"got no answer: {error}"
    return answer.status, kind.complaint(answer.status, answer.headers.get("content-type", ""), answer.data)


def report(results: Results, held: Mapping[str, Sequence[Held]], seconds: float, stream: TextIO) -> None:
    """Print the tables."""
    total = sum(map(len, results.seconds.values()))
    print(f"\n{total} requests in {seconds:.0f} s, {total / seconds:.1f} a second", file=stream)
    print("  ".join(f"{status}: {count}" for status, count in sorted(results.statuses.items())), file=stream)
    print(f"\n{'milliseconds':44}{'requests':>9}{'p50':>8}{'p90':>8}{'p99':>8}{'most':>8}", file=stream)
    for name, taken in results.seconds.items():
        cuts = [1000 * percentile(taken, share) for share in (0.5, 0.9, 0.99, 1.0)]
        print(f"{name:44}{len(taken):9}" + "".join(f"{cut:8.0f}" for cut in cuts), file=stream)
    print(f"\n{'MiB':44}{'processes':>9}{'early':>8}{'late':>8}{'most':>8}", file=stream)
    for name, all_held in held.items():
        early, late = (statistics.median(getattr(item, when) for item in all_held) for when in ("early", "late"))
        most = max(item.most for item in all_held)
        print(f"{name:44}{len(all_held):9}{early:8.1f}{late:8.1f}{most:8.1f}", file=stream)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def wrong(results: Results, held: Mapping[str, Sequence[Held]]) -> list[str]:
    """What must not have happened, one line each."""
    found = list(results.complaints)
    for name, limit in _GROWTH.items():
        growth = statistics.median(item.growth for item in held.get(name, ())) if held.get(name) else 0.0
        if growth > limit:
            found.append(f"{name}: processes grew by {growth:.1f} MiB in the median; at most {limit:g} are noise")
    return found


def run(emulator: EmulatorProcess, *, seconds: float, concurrency: int, seed: int, stream: TextIO) -> list[str]:
    """Load the API in a running emulated account, print what came of it; what is wrong, one line each."""
    account = Account(environments.load(ENVIRONMENT), emulator.child_environment)
    with own_key(account) as key:
        place = find_place(account, key)
        began = time.monotonic()
        with MemoryWatch(lambda: processes(emulator, account.names)) as watch:
            results = load(place, seconds=seconds, concurrency=concurrency, seed=seed)
        report(results, watch.held(), time.monotonic() - began, stream)
    return wrong(results, watch.held())


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.api_load", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/run"), help="where make up keeps the platform")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--concurrency", type=int, default=16, help="callers at once")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    emulator = running_emulator(options.build)
    if emulator is None:
        print(f"error: no platform runs in {options.build}; make up starts one, make run a model", file=sys.stderr)
        return 2
    problems = run(
        emulator,
        seconds=options.seconds,
        concurrency=options.concurrency,
        seed=options.seed,
        stream=sys.stdout,
    )
    for problem in problems[:_SHOWN]:
        print(f"wrong: {problem}")
    if len(problems) > _SHOWN:
        print(f"and {len(problems) - _SHOWN} more")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
