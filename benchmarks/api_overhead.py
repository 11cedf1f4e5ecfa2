"""What the API's handler costs over the fetch and the model it cannot do without: `make bench ONLY=api`.

    python -m benchmarks.api_overhead --rounds 300 --size 50000

Real sockets and real TLS to stand-ins in another process; both sides in turn, in a random order, in one run and one
process. "bare" is the shortest program that does the same: http.client and boto3, unchecked. Writes
build/benchmarks/api_overhead.json and ends with 1 when the median of the differences is above the bound.
"""

import contextlib
import http.client
import io
import json
import random
import ssl
import statistics
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import function, machine, stand_ins
from benchmarks.in_turns import markdown
from benchmarks.options import at_least
from benchmarks.outcome import publish

BOUND_MS = 5.0
_WARM_UP = 10  # rounds that are not counted: clients are made, connections opened


@dataclass(frozen=True)
class Row:
    """One kind of request, in ms: medians of both sides; median and quartiles of the differences within a round."""

    kind: str
    bare: float
    handler: float
    overhead: float
    low: float
    high: float


def measure(places: stand_ins.StandIns, *, size: int, rounds: int, seed: int = 0) -> list[Row]:
    """Time `rounds` rounds of each kind."""
    module = function.load(places.environment(), places.https)
    bare, order = Bare(places), random.Random(seed)
    photo = stand_ins.photo(size)
    rows = []
    for kind in function.KINDS:
        event = function.event(kind, photo)

        def handle(event: dict[str, Any] = event) -> None:
            with contextlib.redirect_stdout(io.StringIO()):  # its line for the log
                answer = module.handler(event)
            if answer["statusCode"] != 200:
                raise RuntimeError(f"the handler answered {answer['statusCode']}: {answer['body'][:300]}")

        def ask(kind: str = kind) -> None:
            bare.count(kind, photo)

        rows.append(_row(kind, ask, handle, rounds, order))
    return rows


class Bare:
    """Fetch and invoke without any of the handler's work."""

    def __init__(self, places: stand_ins.StandIns) -> None:
        import boto3

        self._port = places.https
        self._tls = ssl.create_default_context(cafile=str(places.authorities))
        self._s3, self._runtime = boto3.client("s3"), boto3.client("sagemaker-runtime")

    def count(self, kind: str, photo: bytes) -> None:
        """Get the photo, have it counted, read the answer."""
        content = {"url": self._by_url, "s3": self._from_s3}.get(kind, lambda: photo)()
        answer = self._runtime.invoke_endpoint(
            EndpointName=stand_ins.ENDPOINT, ContentType="image/jpeg", Accept="application/json", Body=content
        )
        json.loads(answer["Body"].read())

    def _by_url(self) -> bytes:
        client = http.client.HTTPSConnection(stand_ins.HOST, context=self._tls)
        plain = function.connect(self._port, "", 0, 10)
        client.sock = self._tls.wrap_socket(plain, server_hostname=stand_ins.HOST)
        client.request("GET", "/1.jpg", headers={"Connection": "close"})
        content = client.getresponse().read()
        client.close()
        return content

    def _from_s3(self) -> bytes:
        place = {"Bucket": stand_ins.BUCKET, "Key": f"{stand_ins.PREFIX}1.jpg"}
        etag = self._s3.head_object(**place)["ETag"]  # the size first, as the handler must
        content: bytes = self._s3.get_object(**place, IfMatch=etag)["Body"].read()
        return content


def _row(kind: str, bare: Callable[[], None], handle: Callable[[], None], rounds: int, order: random.Random) -> Row:
    pairs = [_pair(bare, handle, order) for _ in range(_WARM_UP + rounds)][_WARM_UP:]
    differences = [handled - alone for alone, handled in pairs]
    low, middle, high = statistics.quantiles(differences, n=4)
    alone, handled = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Row(kind, *(round(value, 2) for value in (alone, handled, middle, low, high)))


def _pair(bare: Callable[[], None], handle: Callable[[], None], order: random.Random) -> tuple[float, float]:
    if order.random() < 0.5:
        alone = _milliseconds(bare)
        return alone, _milliseconds(handle)
    handled = _milliseconds(handle)
    return _milliseconds(bare), handled


def _milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def table(rows: list[Row]) -> str:
    """Markdown: a row a kind of request."""
    return markdown(
        ["photo", "bare", "handler", "overhead", "quartiles"],
        [
            [
                row.kind,
                f"{row.bare:.2f}",
                f"{row.handler:.2f}",
                f"{row.overhead:.2f}",
                f"{row.low:.2f} to {row.high:.2f}",
            ]
            for row in rows
        ],
    )


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.api_overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--size", type=int, default=50_000, help="bytes of the photo; 50,000 is usual")
    parser.add_argument("--bound", type=float, default=BOUND_MS, help="ms of overhead, in the median")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    options = parser.parse_args(arguments)
    at_least(parser, options, rounds=2, size=1)
    here = machine.describe()
    with stand_ins.running(options.size) as places:
        rows = measure(places, size=options.size, rounds=options.rounds)
    text = (
        f"photo of {options.size} bytes; {machine.line(here)}; {options.rounds} rounds. Medians in ms.\n\n{table(rows)}"
    )
    settings = {"rounds": options.rounds, "size": options.size, "bound_ms": options.bound}
    publish(options.out, "api_overhead", {"machine": here, **settings, "rows": [asdict(row) for row in rows]}, text)
    above = [row.kind for row in rows if row.overhead > options.bound]
    if above:
        print(f"\nwrong: {', '.join(above)} cost more than {options.bound:g} ms")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
