"""What a function's process holds at most for one request: `make bench ONLY=api-memory`.

    python -m benchmarks.api_memory --size 5000000

Each request in a fresh process: Python, boto3 with its clients, TLS, event and answer included; Lambda's own runtime is
not. Writes build/benchmarks/api_memory.json and ends with 1 when a photo takes more than the bound. The batch, whose
photos are worked on side by side, has no bound here; the function's memory is its bound.
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import function, machine, stand_ins
from benchmarks.in_turns import markdown
from benchmarks.options import at_least
from benchmarks.outcome import publish

BOUND_MIB = 128.0
_MOST_AS_BODY = 4 * 1024 * 1024  # a larger one does not reach the function
_BATCH = 16


@dataclass(frozen=True)
class Row:
    """The peak of one request: resident memory in MiB."""

    kind: str
    bytes: int
    mib: float
    bounded: bool = True


def measure(places: stand_ins.StandIns, *, size: int, batch: bool = True) -> list[Row]:
    """Run each kind of request once; RuntimeError when one is not answered with 200."""
    as_body = min(size, _MOST_AS_BODY)
    rows = [Row(kind, size, _peak(places, function.event(kind))) for kind in ("url", "s3")]
    rows.append(Row("body", as_body, _peak(places, function.event("body", stand_ins.photo(as_body)))))
    if batch:
        event = function.event("url", images=_BATCH)
        rows.append(Row(f"{_BATCH} by url", _BATCH * size, _peak(places, event), bounded=False))
    return rows


def _peak(places: stand_ins.StandIns, event: dict[str, Any]) -> float:
    command = [sys.executable, "-m", "benchmarks.one_request", str(places.https)]
    process = subprocess.run(
        command,
        input=json.dumps(event).encode(),
        env=os.environ | places.environment(),
        cwd=stand_ins.ROOT,
        capture_output=True,
        check=False,
        timeout=120,
    )
    if process.returncode:
        raise RuntimeError(f"the request failed: {process.stderr.decode()[-2000:]}")
    said = json.loads(process.stdout)
    if said["failure"]:
        raise RuntimeError(f"the handler answered {said['failure'][:1000]}")
    return round(float(said["mib"]), 1)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.api_memory", description=__doc__)
    parser.add_argument("--size", type=int, default=5_000_000, help="bytes of the photo")
    parser.add_argument("--bound", type=float, default=BOUND_MIB, help="MiB for one photo")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args(arguments)
    at_least(parser, options, size=1)
    here = machine.describe()
    with stand_ins.running(options.size) as places:
        rows = measure(places, size=options.size)
    lines = markdown(["photo", "bytes", "peak MiB"], [[row.kind, str(row.bytes), f"{row.mib:.1f}"] for row in rows])
    result = {"machine": here, "bound_mib": options.bound, "rows": [asdict(row) for row in rows]}
    publish(options.out, "api_memory", result, f"{machine.line(here)}.\n\n{lines}")
    above = [row.kind for row in rows if row.bounded and row.mib >= options.bound]
    if above:
        print(f"\nwrong: {', '.join(above)} took {options.bound:g} MiB or more")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
