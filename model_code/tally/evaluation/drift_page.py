"""drift.html: the photos of the champion, of this delivery and of the test split, side by side."""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from tally.data.profile import MEASURED
from tally.data.report_pictures import thumbnail
from tally.data.shards import Split
from tally.evaluation.deliveries import Drift
from tally.evaluation.drift import CHANCE, LARGE, MODERATE, MUCH, SOME, STABLE, UNKNOWN, Comparison, FeatureDrift
from tally.html import chart, short, write_report

SHOWN = 24
"""Test photos that look like training photos: so many are shown."""

_TONES = {STABLE: "good", CHANCE: "soft", SOME: "warn", MUCH: "bad", UNKNOWN: "soft"}
_CATEGORY_UNITS = {"count": "objects", "source": "source of the photo"}
_BARS = 14
"""Bins drawn at most; of categories the largest."""


def write_drift_page(path: Path, drift: Drift, split: Split, champion_name: str) -> None:
    """Write the page to `path`; OSError when that fails."""
    comparisons = [
        {
            "comparison": comparison,
            "charts": [_chart(feature) for feature in comparison.features if feature.psi is not None],
        }
        for comparison in drift.comparisons.values()
    ]
    lookalikes = [
        {"picture": thumbnail(split.jpeg(found.index)), "found": found} for found in (drift.lookalikes or ())[:SHOWN]
    ]
    write_report(
        path,
        "drift.html",
        drift=drift,
        champion_name=champion_name,
        comparisons=comparisons,
        lookalikes=lookalikes,
        tones=_TONES,
        moderate=MODERATE,
        large=LARGE,
        headline=_headline(list(drift.comparisons.values())),
    )


def _headline(comparisons: list[Comparison]) -> str:
    if not comparisons:
        return "There is nothing to compare with."
    drifted = [comparison for comparison in comparisons if comparison.drifted()]
    return "The photos have changed." if drifted else "No feature of the photos has changed by much."


def _chart(feature: FeatureDrift) -> Markup:
    """Shares before and after as pairs of bars; the bins from the first to the last that holds a photo."""
    old, new = np.array(feature.before, dtype=float), np.array(feature.after, dtype=float)
    filled = np.flatnonzero(old + new)
    shown = np.arange(filled[0], filled[-1] + 1)
    if len(shown) > _BARS and feature.name == "source":
        shown = np.sort(np.argsort(-(old + new), kind="stable")[:_BARS])
    before, after = (100 * numbers[shown] / numbers.sum() for numbers in (old, new))
    unit = MEASURED[feature.name].unit if feature.name in MEASURED else _CATEGORY_UNITS[feature.name]
    with chart(feature.title, unit, "share of photos, %", width=4.6, height=2.9) as drawing:
        at = np.arange(len(shown))
        drawing.axes.bar(at - 0.2, before, 0.4, label="before", color="#9aa5b1")
        drawing.axes.bar(at + 0.2, after, 0.4, label="after", color="#1f6fb2")
        labels = [short(feature.labels[index], 18) for index in shown]
        drawing.axes.set_xticks(at, labels, rotation=45, ha="right", fontsize=7)
        drawing.axes.legend(frameon=False)
    return drawing.svg
