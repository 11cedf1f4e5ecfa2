"""Charts of what a model's probabilities are worth: calibration, automation, orders."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from tally.evaluation.assessment import Assessment, Study
from tally.evaluation.automation import TARGETS
from tally.evaluation.charts import INK, NEW, OLD, SOFT, WIDTH
from tally.evaluation.orders import DECISIONS, SITUATIONS
from tally.html import chart

POINTS = 400
_COLORS = {"pass": "#1a7f4b", "review": "#d9dfe7", "fail": "#b3261e"}


def reliability_chart(model: Assessment, study: Study) -> Markup:
    """Accuracy against confidence with intervals; bars count the photos of each bin."""
    rows = study.reliability
    confidence, accuracy = (100 * np.array([getattr(row, name) for row in rows]) for name in ("confidence", "accuracy"))
    sides = 100 * np.array([row.interval for row in rows])
    title = f"Calibration of the {model.name}"
    with chart(title, "confidence of the answer (%)", "right answers (%)", width=WIDTH, height=3.6) as drawing:
        axes = drawing.axes
        photos = axes.twinx()
        photos.bar(
            [100 * row.low for row in rows],
            [row.photos for row in rows],
            width=[100 * (row.high - row.low) for row in rows],
            align="edge",
            color="#d9dfe7",
            edgecolor="white",
        )
        photos.set(ylabel="photos (bars)", ylim=(0, 2.5 * max(row.photos for row in rows)))
        axes.set_zorder(photos.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=":")
        axes.errorbar(
            confidence,
            accuracy,
            yerr=np.clip([accuracy - sides[:, 0], sides[:, 1] - accuracy], 0, None),
            fmt="o-",
            color=NEW if model.name == "challenger" else OLD,
            markersize=4,
            linewidth=1.2,
        )
        axes.set(xlim=(15, 101), ylim=(0, 101))
    return drawing.svg


def automation_chart(studies: Mapping[str, Study]) -> Markup:
    """How often answers are right against the share of photos answered without a person."""
    title = "Answered without a person"
    with chart(title, "share of photos answered (%)", "right among them (%)", width=WIDTH, height=3.6) as drawing:
        axes = drawing.axes
        for (name, study), color in zip(studies.items(), (NEW, OLD), strict=False):
            found = study.automation
            drawn = _drawn(len(found.shares))
            axes.plot(100 * found.shares[drawn], 100 * found.precisions[drawn], color=color, label=name)
            axes.plot(
                100 * found.shares[drawn],
                100 * found.lower_bounds[drawn],
                color=color,
                linewidth=1,
                linestyle="--",
                label=f"{name}, 95% lower bound",
            )
        for target in TARGETS:
            axes.axhline(100 * target, color=SOFT, linewidth=0.7, linestyle=":")
        axes.set(xlim=(0, 100), ylim=(0, 101))
        axes.legend(loc="lower left", fontsize=8)
    return drawing.svg


def threshold_chart(study: Study) -> Markup:
    """The challenger at every threshold of confidence: what is answered, what is right, what a person checks."""
    found = study.automation
    with chart(
        "The challenger at each threshold", "least confidence to answer (%)", "share (%)", width=WIDTH, height=3.6
    ) as drawing:
        axes = drawing.axes
        drawn = _drawn(len(found.thresholds))
        thresholds, precisions = 100 * found.thresholds[drawn], 100 * found.precisions[drawn]
        axes.plot(thresholds, precisions, color=NEW, label="right among the answered")
        axes.fill_between(thresholds, 100 * found.lower_bounds[drawn], precisions, color=NEW, alpha=0.15, linewidth=0)
        axes.plot(thresholds, 100 * (1 - found.shares[drawn]), color=INK, linestyle="--", label="left to a person")
        axes.set(xlim=(max(15, thresholds.min() - 2), 101), ylim=(0, 101))
        axes.legend(loc="lower right", fontsize=8)
    return drawing.svg


def _drawn(points: int) -> npt.NDArray[np.int64]:
    """Indices of the points that a line goes through: both ends, at most POINTS, or the page would have megabytes."""
    return np.unique(np.linspace(0, points - 1, POINTS).round().astype(np.int64))


def orders_chart(studies: Mapping[str, Study]) -> Markup:
    """Decisions on bins that hold what was ordered, and on bins that do not: one bar a situation and model."""
    bars = [
        (f"{situation}\n{name}", study.orders[situation].share)
        for situation in SITUATIONS
        for name, study in studies.items()
    ]
    places = np.arange(len(bars))[::-1]
    title = "Does the bin hold what was ordered?"
    with chart(
        title, "share of questions (%)", "what the bin holds", width=WIDTH, height=1.4 + 0.42 * len(bars)
    ) as drawing:
        axes, left = drawing.axes, np.zeros(len(bars))
        for decision in DECISIONS:
            widths = 100 * np.array([share[decision] for _, share in bars])
            axes.barh(places, widths, left=left, color=_COLORS[decision], label=decision, height=0.7)
            for place, start, width in zip(places, left, widths, strict=True):
                if width >= 7:
                    color = INK if decision == "review" else "white"
                    axes.text(start + width / 2, place, f"{width:.0f}", ha="center", va="center", color=color)
            left += widths
        axes.set(xlim=(0, 100), yticks=places, yticklabels=[name for name, _ in bars])
        axes.figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return drawing.svg
