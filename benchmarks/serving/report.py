"""Ratios and tables of a run. Every ratio is taken within a round, then the median of the rounds with their range."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.in_turns import markdown, ratios, spread, times
from benchmarks.serving.rounds import LIMIT, Entry, Figures

OURS = "Tally"


def agreement(ours: Sequence[int | None], theirs: Sequence[int | None]) -> float:
    """Share of photos for which both gave the same count; no answer agrees with nothing."""
    return statistics.fmean(one is not None and one == other for one, other in zip(ours, theirs, strict=True))


def result(entries: Sequence[Entry], figures: Mapping[str, Figures], limits: Sequence[float]) -> dict[str, Any]:
    """Everything measured as plain JSON data, with the ratios to the best tuned peer and to the control."""
    ours = figures[OURS]
    there = [entry for entry in entries if entry.name in figures]
    tuned = [entry for entry in there if entry.headline and entry.server.requirements]
    peers = [entry.name for entry in tuned if entry.server.runtime == "torch"]
    control = [entry.name for entry in tuned if entry.server.runtime != "torch"]
    found: dict[str, Any] = {
        "entries": {
            name: asdict(figure) | {"agreement": agreement(ours.counts, figure.counts)}
            for name, figure in figures.items()
        },
        "limit": list(limits),
        "of_the_limit": {clients: ratios(rates, limits) for clients, rates in ours.rates.items()},
        "tail": {clients: ratios(ours.p99[clients], ours.p50[clients]) for clients in ours.rates},
    }
    if peers:
        found["best_peer"] = {
            clients: _against_best(ours.rates[clients], {name: figures[name].rates[clients] for name in peers})
            for clients in ours.rates
        }
        found["memory"] = _against_best(ours.memory, {name: figures[name].memory for name in peers}, least=True)
        found["start"] = _against_best(ours.start, {name: figures[name].start for name in peers}, least=True)
    if control:
        found["control"] = {
            clients: ratios(rates, figures[control[0]].rates[clients]) for clients, rates in ours.rates.items()
        }
    return found


def _against_best(
    ours: Sequence[float], peers: Mapping[str, Sequence[float]], *, least: bool = False
) -> dict[str, Any]:
    """The ratio to the peer with the best median."""
    pick = min if least else max
    best = pick(peers, key=lambda name: statistics.median(peers[name]))
    return {"peer": best, "ratio": ratios(ours, peers[best])}


def table(result: Mapping[str, Any], concurrency: Sequence[int]) -> str:
    """Markdown: a row a server, medians with the range of the rounds."""
    head = ["server", "workers x threads", *(f"requests/s, {clients} clients" for clients in concurrency)]
    head += [f"p50 / p99 ms, {concurrency[0]} clients", "memory MiB", "first answer s", "same counts", "failed"]
    rows = []
    for name, entry in result["entries"].items():
        middle, tail = (statistics.median(entry[what][concurrency[0]]) for what in ("p50", "p99"))
        rates = [spread(entry["rates"][clients], 0) for clients in concurrency]
        same = f"{entry['agreement']:.1%}"
        rows.append(
            [
                name,
                entry["setup"],
                *rates,
                f"{middle:.0f} / {tail:.0f}",
                spread(entry["memory"], 0),
                spread(entry["start"], 1),
                same,
                str(entry["failed"]),
            ]
        )
    rows.append([LIMIT, "", spread(result["limit"], 0), *[""] * (len(head) - 3)])
    return markdown(head, rows)


def sentences(result: Mapping[str, Any]) -> list[str]:
    """The ratios in words."""
    lines = []
    for clients, best in result.get("best_peer", {}).items():
        lines.append(f"{clients} clients: {times(best['ratio'])} the requests/s of the best peer, {best['peer']}")
    for clients, ratio in result.get("control", {}).items():
        lines.append(f"{clients} clients: {times(ratio)} the control, which has our runtime in the peers' design")
    for clients, ratio in result["of_the_limit"].items():
        lines.append(f"{clients} clients: {ratio[0]:.0%} of the limit ({ratio[1]:.0%} to {ratio[2]:.0%})")
    for clients, ratio in result["tail"].items():
        lines.append(f"{clients} clients: p99 is {times(ratio)} p50")
    for what, unit in (("memory", "memory"), ("start", "time to the first answer")):
        if what in result:
            ratio = result[what]["ratio"]
            lines.append(f"1 / {1 / ratio[0]:.1f} of the {unit} of the peer that takes least, {result[what]['peer']}")
    return lines
