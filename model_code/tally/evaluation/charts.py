"""Charts of the comparison: gain, power, confusions, sources."""

import numpy as np
from markupsafe import Markup

from tally.evaluation.assessment import Assessment
from tally.evaluation.sources import SourceCheck
from tally.gate import MEASURES, Verdict
from tally.gate.power import power
from tally.html import chart, short
from tally.labels import COUNTS

INK, SOFT, NEW, OLD, WARN = "#1c2430", "#5b6776", "#0b5cad", "#b26a00", "#9a6700"
WIDTH = 4.6
"""Inches: on a phone of 360 pixels the text of a chart keeps three quarters of its size."""
SOURCES = 12


def gain_chart(verdict: Verdict) -> Markup:
    """The gain with its interval against no gain and against the smallest one this test set would show."""
    low, high = (100 * side for side in verdict.gain_interval)
    measure = MEASURES[verdict.weighting]
    with chart(f"Gain in {measure} over the champion", f"points of {measure}", "", width=WIDTH, height=1.6) as drawing:
        axes = drawing.axes
        axes.axvline(0, color=SOFT, linewidth=1)
        axes.axvspan(0, 100 * verdict.smallest_detectable_gain, color=WARN, alpha=0.12, linewidth=0)
        axes.plot([low, high], [0, 0], color=INK, linewidth=3, solid_capstyle="butt")
        axes.plot([100 * verdict.gain], [0], "o", color=INK, markersize=8)
        reach = max(abs(low), abs(high), 1.0) * 1.15
        axes.set(xlim=(min(-reach / 4, low * 1.15), reach), ylim=(-1, 1), yticks=[])
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
    return drawing.svg


def power_chart(verdict: Verdict) -> Markup:
    """Chance to see a true gain on this test set."""
    smallest = verdict.smallest_detectable_gain
    reach = min(1.0, 1.5 * max(smallest, verdict.gain, verdict.gain_that_matters))
    gains = np.linspace(0.0005, reach, 200)
    chances = [power(gain, verdict.effective_photos, verdict.discordance, verdict.alpha) for gain in gains]
    with chart(
        "What this test set can show",
        f"true gain in {MEASURES[verdict.weighting]} (points)",
        "power (chance to see it)",
        width=WIDTH,
    ) as drawing:
        axes = drawing.axes
        axes.plot(100 * gains, chances, color=INK)
        axes.axhline(verdict.wanted_power, color=SOFT, linewidth=0.8, linestyle=":")
        marks = (
            (verdict.gain_that_matters, "gain that matters", SOFT, "--"),
            (smallest, "smallest detectable", WARN, "-"),
            (verdict.gain, "observed", NEW, "-."),
        )
        for gain, label, color, style in marks:
            if 0 < gain <= reach:
                axes.axvline(100 * gain, color=color, linestyle=style, label=f"{label}: {100 * gain:.1f}")
        axes.set(xlim=(0, 100 * reach), ylim=(0, 1.02))
        axes.legend(loc="lower right", fontsize=8)
    return drawing.svg


def confusion_chart(model: Assessment) -> Markup:
    """Confusion matrix as a heat map: colour is the share of the true count, the number is photos."""
    matrix = model.matrix
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ticks = np.arange(len(COUNTS))
    with chart(
        f"{model.name.capitalize()} ({model.model})", "predicted count", "true count", width=3.6, height=3.4
    ) as drawing:
        axes = drawing.axes
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
        for row in ticks:
            for column in ticks:
                color = "white" if shares[row, column] > 0.55 else INK
                axes.text(column + 0.5, row + 0.5, str(matrix[row, column]), ha="center", va="center", color=color)
        axes.set(xticks=ticks + 0.5, yticks=ticks + 0.5, xticklabels=COUNTS, yticklabels=COUNTS, aspect="equal")
        axes.invert_yaxis()
        axes.tick_params(length=0)
    return drawing.svg


def source_chart(check: SourceCheck) -> Markup:
    """Accuracy inside each of the largest sources, with intervals, beside the rule that knows only the source."""
    rows = check.rows[:SOURCES]
    places = np.arange(len(rows))[::-1]
    height = 1.3 + 0.42 * len(rows)
    with chart("Accuracy inside each source", "accuracy (%)", "source (photos)", width=WIDTH, height=height) as drawing:
        axes = drawing.axes
        for name, color, shift in (("challenger", NEW, 0.16), ("champion", OLD, -0.16)):
            values = 100 * np.array([row.accuracy[name] for row in rows])
            sides = 100 * np.array([row.intervals[name] for row in rows])
            axes.errorbar(
                values,
                places + shift,
                xerr=np.clip([values - sides[:, 0], sides[:, 1] - values], 0, None),
                fmt="o",
                color=color,
                markersize=5,
                linewidth=1.2,
                label=name,
            )
        alone = [100 * row.alone for row in rows]
        axes.plot(alone, places, "|", color=INK, markersize=16, markeredgewidth=2, label="source alone")
        labels = [f"{short(row.source, 16) or '(none)'} ({row.photos})" for row in rows]
        axes.set(xlim=(0, 100), ylim=(-0.6, len(rows) - 0.4), yticks=places, yticklabels=labels)
        axes.figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return drawing.svg
