"""The API under a mix of good and hostile requests, on the platform that `make up` keeps running: `make load`.

    python -m benchmarks.api_load --build build/run --seconds 120 --concurrency 16

Prints how long each kind of request took, and what the functions' processes held. Ends with 1 when an answer had
another status or code than its request must get, or when memory grew in a load of more than a minute.
"""

import itertools
import json
import math
import random
import statistics
import sys
import threading
import time
from argparse import ArgumentParser
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import urllib3

from benchmarks import machine
from benchmarks.api_place import ABOUT, ACCOUNT, API, find_place, own_key, processes
from benchmarks.api_requests import Kind, Place, good, hostile
from benchmarks.memory_watch import Held, MemoryWatch
from benchmarks.options import at_least
from local.emulator.client import EmulatorProcess
from local.platform import running_emulator
from local.settings import ENVIRONMENT
from ops import environments
from ops.account import Account

_SECONDS = 40.0  # for one answer; API Gateway gives up after 29
_SLOW_SHARE = 8  # one in so many callers, but at least one, sends what keeps the API waiting
_SHOWN = 10  # complaints
_GROWTH = {API: 8.0, ABOUT: 8.0}  # MiB that the median process may hold more late than early
_SAMPLES = 60  # about one a second; in less time a process that starts is not told from one that grows
_KEPT_KIB = 16.0  # that the emulated account may keep of each request: logs and metrics, for ever


@dataclass
class Results:
    """What came of the requests, by kind."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    complaints: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def load(place: Place, *, seconds: float, concurrency: int, seed: int) -> Results:
    """Send requests from `concurrency` callers (at least 2) at once, each as soon as its last one is answered."""
    kinds = [*good(place), *hostile(place)]
    fast, slow = [kind for kind in kinds if not kind.slow], [kind for kind in kinds if kind.slow]
    patient = max(1, concurrency // _SLOW_SHARE)
    results, number, lock = Results(), itertools.count(), threading.Lock()
    end = time.monotonic() + seconds
    pool = urllib3.PoolManager(maxsize=concurrency, retries=False, timeout=_SECONDS)

    def call(caller: int) -> None:
        mine = slow if caller < patient else fast
        chosen, shares = random.Random(seed * 1000 + caller), [kind.share for kind in mine]
        # Each kind once to begin with, however short the load is.
        first = iter(slow[caller::patient] if caller < patient else fast[caller - patient :: concurrency - patient])
        while (kind := next(first, None)) or time.monotonic() < end:
            kind = kind or chosen.choices(mine, shares)[0]
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
    print(f"{total} requests in {seconds:.0f} s, {total / seconds:.1f} a second", file=stream)
    print("  ".join(f"{status}: {count}" for status, count in sorted(results.statuses.items())), file=stream)
    print(f"\n{'milliseconds':44}{'requests':>9}{'p50':>8}{'p90':>8}{'p99':>8}{'most':>8}", file=stream)
    for name, taken in sorted(results.seconds.items(), key=lambda item: -len(item[1])):
        print(f"{name:44}{len(taken):9}" + "".join(f"{cut:8.0f}" for cut in cuts(taken).values()), file=stream)
    print(f"\n{'MiB':44}{'processes':>9}{'early':>8}{'late':>8}{'most':>8}", file=stream)
    for name, all_held in held.items():
        early, late = (statistics.median(getattr(item, when) for item in all_held) for when in ("early", "late"))
        most = max(item.most for item in all_held)
        print(f"{name:44}{len(all_held):9}{early:8.1f}{late:8.1f}{most:8.1f}", file=stream)


def cuts(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {name: round(1000 * percentile(seconds, share), 1) for name, share in shares.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def wrong(results: Results, held: Mapping[str, Sequence[Held]]) -> list[str]:
    """What must not have happened, one line each."""
    found = list(results.complaints)
    kept = _KEPT_KIB * sum(map(len, results.seconds.values())) / 1024
    for name, allowed in {**_GROWTH, ACCOUNT: max(_GROWTH[API], kept)}.items():
        grown = [item.growth for item in held.get(name, ()) if item.samples >= _SAMPLES]
        if grown and (growth := statistics.median(grown)) > allowed:
            found.append(f"{name} grew by {growth:.1f} MiB (the median of its processes); {allowed:.1f} are noise")
    return found


def run(
    emulator: EmulatorProcess, *, seconds: float, concurrency: int, seed: int, out: Path, stream: TextIO
) -> list[str]:
    """Load the API in a running emulated account, and print what came of it, also into `out`/api_load.json; what is
    wrong, one line each.
    """
    account, here = Account(environments.load(ENVIRONMENT), emulator.child_environment), machine.describe()
    print(f"{machine.line(here)}\n{concurrency} callers at once, seed {seed}\n", file=stream)
    with own_key(account) as key:
        place = find_place(account, key)
        if not place.decodes:
            print("the model's server is a stand-in that takes any bytes: damaged photos are left out\n", file=stream)
        began = time.monotonic()
        with MemoryWatch(lambda: processes(emulator, account.names)) as watch:
            results = load(place, seconds=seconds, concurrency=concurrency, seed=seed)
        took, held = time.monotonic() - began, watch.held()
    report(results, held, took, stream)
    problems = wrong(results, held)
    figures = {
        "machine": here,
        "concurrency": concurrency,
        "seed": seed,
        "seconds": round(took, 1),
        "statuses": results.statuses,
        "milliseconds": {name: cuts(taken) for name, taken in results.seconds.items()},
        "mib": {name: [asdict(item) for item in items] for name, items in held.items()},
        "wrong": problems,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "api_load.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return problems


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.api_load", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/run"), help="where make up keeps the platform")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--concurrency", type=int, default=16, help="callers at once, at least 2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="where the figures go as JSON")
    options = parser.parse_args()
    at_least(parser, options, seconds=1, concurrency=2, seed=0)
    emulator = running_emulator(options.build)
    if emulator is None:
        print(f"error: no platform runs in {options.build}; make up starts one, make run a model", file=sys.stderr)
        return 2
    problems = run(
        emulator,
        seconds=options.seconds,
        concurrency=options.concurrency,
        seed=options.seed,
        out=options.out,
        stream=sys.stdout,
    )
    for problem in problems[:_SHOWN]:
        print(f"wrong: {problem}")
    if len(problems) > _SHOWN:
        print(f"and {len(problems) - _SHOWN} more")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
