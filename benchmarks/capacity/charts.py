"""The page of a run: latency against rate, and the surge over time, as one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from benchmarks.capacity.measure import Carried
from benchmarks.capacity.surge import Moment, Scenario
from benchmarks.capacity.tracking import CONCURRENCY_SECONDS
from tally import html

_COLOURS = ("#b26a00", "#0b5cad")
_SOFT, _INK = "#5b6776", "#1c2430"
_WIDTH, _HEIGHT = 9.0, 2.7
_BASE = Path(html.__file__).with_name("templates")


def write_page(path: Path, **context: Any) -> None:
    """Render `page.html` of this folder to `path`."""
    loader = jinja2.FileSystemLoader([Path(__file__).parent, _BASE])
    templates = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    path.write_text(templates.get_template("page.html").render(**context), encoding="utf-8")


def latency_chart(carried: Carried, budget_ms: float, simulated: Sequence[float | None]) -> Markup:
    """Latency of every window that had answers, and what the simulation of one instance says."""
    windows = sorted(zip(carried.windows, simulated, strict=True), key=lambda pair: pair[0].rate)
    answered = [(window, expected) for window, expected in windows if window.latencies]
    rates = [window.rate for window, _ in answered]
    with html.chart("Latency of one instance", "requests a second", "ms", width=_WIDTH, height=3.2) as drawing:
        axes = drawing.axes
        axes.semilogy(rates, [window.p50 for window, _ in answered], marker=".", color=_SOFT, label="p50")
        axes.semilogy(rates, [window.p99 for window, _ in answered], marker=".", color=_INK, label="p99")
        known = [(window.rate, expected) for window, expected in answered if expected is not None]
        if known:
            axes.semilogy(*zip(*known, strict=True), color=_INK, linestyle=":", label="p99, simulated")
        failed = [(window.rate, window.p99) for window, _ in answered if window.failed]
        if failed:
            axes.semilogy(*zip(*failed, strict=True), "x", color="#b3261e", label="some sent away")
        axes.axhline(budget_ms, color=_SOFT, linestyle="--", linewidth=1, label=f"budget {budget_ms:g} ms")
        axes.axvline(carried.held.rate, color=_COLOURS[1], linewidth=1, label=f"carried {carried.held.rate:.0f}/s")
        axes.legend(loc="upper left", fontsize=8)
    return drawing.svg


def surge_charts(sides: Mapping[str, Sequence[Moment]], scenario: Scenario, rate: float) -> list[Markup]:
    """Offered rate beside what instances in service carry, their number, and requests late or lost."""
    any_side = next(iter(sides.values()))
    minutes = [(moment.end - scenario.before) / 60 for moment in any_side]
    x = "minutes since the surge began"
    drawings = []
    with html.chart("Load and capacity", x, "requests a second", width=_WIDTH, height=_HEIGHT) as drawing:
        offered = [moment.offered / CONCURRENCY_SECONDS for moment in any_side]
        drawing.axes.fill_between(minutes, offered, color=_SOFT, alpha=0.3, linewidth=0, label="offered")
        for (name, moments), colour in zip(sides.items(), _COLOURS, strict=False):
            carries = [moment.active * rate for moment in moments]
            drawing.axes.step(minutes, carries, where="pre", color=colour, label=f"capacity, {name}")
        drawing.axes.legend(loc="upper right", fontsize=8)
    drawings.append(drawing.svg)
    with html.chart("Instances", x, "instances", width=_WIDTH, height=_HEIGHT) as drawing:
        for (name, moments), colour in zip(sides.items(), _COLOURS, strict=False):
            paid = [moment.paid for moment in moments]
            active = [moment.active for moment in moments]
            drawing.axes.step(minutes, active, where="pre", color=colour, label=f"in service, {name}")
            drawing.axes.step(minutes, paid, where="pre", color=colour, linestyle=":", label=f"paid, {name}")
        drawing.axes.set_ylim(bottom=0)
        drawing.axes.legend(loc="upper right", fontsize=8)
    drawings.append(drawing.svg)
    with html.chart("Late or lost", x, "requests a second", width=_WIDTH, height=_HEIGHT) as drawing:
        for (name, moments), colour in zip(sides.items(), _COLOURS, strict=False):
            late = [moment.late / CONCURRENCY_SECONDS for moment in moments]
            lost = [moment.lost / CONCURRENCY_SECONDS for moment in moments]
            drawing.axes.plot(minutes, lost, color=colour, label=f"lost, {name}")
            drawing.axes.plot(minutes, late, color=colour, linestyle=":", label=f"late, {name}")
        drawing.axes.set_ylim(bottom=0)
        drawing.axes.legend(loc="upper right", fontsize=8)
    drawings.append(drawing.svg)
    return drawings
