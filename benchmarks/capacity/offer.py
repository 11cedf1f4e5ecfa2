"""Offers requests at a rate, whether or not earlier ones are answered: an open loop, as callers are.

    PYTHONPATH=model_code python -m benchmarks.capacity.offer --port 8080 --photos FOLDER --rate 100 --seconds 10

Latency counts from the moment a request should have been sent, so that a client that is kept waiting hides nothing
(coordinated omission). A process of its own, on the server's CPUs: it says how much of them it took. Prints JSON.
"""

import asyncio
import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.capacity.arrivals import of_a_window
from benchmarks.capacity.windows import Window, percentile
from benchmarks.serving.load import BROKEN, Connection, request

ANSWER_SECONDS = 60.0
"""SageMaker waits as long for an answer."""
WARM_SECONDS = 1.0  # of the same load before the window begins
_BEGINS_AFTER = 0.2  # seconds from the call to the first arrival
_IDLE_SECONDS = 2.0  # after which a connection is not used again: the server closes it after five


class Pool:
    """Connections that are kept while requests follow each other, and as many as requests are at hand."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[float, Connection]] = []

    async def ask(self, body: bytes) -> int:
        """The status of the answer; 0 when there is none."""
        connection = self._taken()
        try:
            status, _ = await asyncio.wait_for(connection.ask(body), ANSWER_SECONDS)
        except BROKEN:
            connection.close()
            return 0
        self._free.append((time.perf_counter(), connection))
        return status

    def _taken(self) -> Connection:
        while self._free:
            since, connection = self._free.pop()
            if time.perf_counter() - since < _IDLE_SECONDS:
                return connection
            connection.close()
        return Connection("127.0.0.1", self._port)

    def close(self) -> None:
        """All that are free."""
        for _, connection in self._free:
            connection.close()
        self._free.clear()


async def offer(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int, warm: float = WARM_SECONDS
) -> Window:
    """Send at `rate` for `seconds`, after `warm` seconds of the same; return what came of those `seconds`."""
    chance = np.random.default_rng(seed)
    warming, measured = of_a_window(rate, warm, chance), warm + of_a_window(rate, seconds, chance)
    due = [*warming.tolist(), *measured.tolist()]
    chosen = chance.integers(len(requests), size=len(due)).tolist()
    pool, begin = Pool(port), time.perf_counter() + _BEGINS_AFTER
    spans: list[tuple[float, float, int]] = []  # seconds from `begin`: due and answered; status
    lags: list[float] = []

    async def one(when: float, body: bytes) -> None:
        lags.append(time.perf_counter() - begin - when)
        status = await pool.ask(body)
        spans.append((when, time.perf_counter() - begin, status))

    used, tasks = time.process_time(), []
    for when, which in zip(due, chosen, strict=True):
        await asyncio.sleep(max(0.0, begin + when - time.perf_counter()))
        tasks.append(asyncio.create_task(one(when, requests[which])))
    used = time.process_time() - used
    await asyncio.gather(*tasks)
    pool.close()

    def waiting(moment: float) -> int:
        return sum(sent <= moment < answered for sent, answered, _ in spans)

    window = [span for span in spans if span[0] >= warm]
    return Window(
        rate=rate,
        seconds=seconds,
        latencies=tuple(round(1000 * (answered - sent), 3) for sent, answered, status in window if status == 200),
        failed=sum(status != 200 for _, _, status in window),
        backlog=waiting(warm + seconds) - waiting(warm),
        lag_ms=round(1000 * percentile(lags, 0.99), 3) if lags else 0.0,
        client_cpus=round(used / (warm + seconds), 4),
    )


def main() -> int:
    """The command."""
    parser = ArgumentParser(prog="python -m benchmarks.capacity.offer", description=__doc__)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--photos", required=True, type=Path, help="a folder of JPEG files")
    parser.add_argument("--rate", required=True, type=float, help="requests per second, in the mean")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    photos = [file.read_bytes() for file in sorted(options.photos.glob("*.jpg"))]
    requests = [request("/invocations", "image/jpeg", photo) for photo in photos]
    window = uvloop.run(offer(options.port, requests, options.rate, options.seconds, options.seed))
    print(json.dumps(asdict(window)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
