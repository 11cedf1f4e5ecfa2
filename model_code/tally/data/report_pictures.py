"""Charts and thumbnails of the data report."""

import io
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from tally.cpus import usable_cpus
from tally.data.alike import Alike, Member
from tally.data.findings import Findings
from tally.data.grouping import SIDES
from tally.data.profile import MEASURED, Feature
from tally.data.shards import Photo
from tally.data.workers import obey_parent
from tally.html import chart, data_uri, short
from tally.labels import COUNTS

THUMBNAIL = 144
"""Long side of a photo in the report, pixels."""

PAIRS = 24
"""Near-duplicates shown side by side; the CSV lists all."""

_SOURCES = 12
"""Sources drawn, the largest first; the table has all."""


def pictures(report: Mapping[str, Any], found: Findings, alike: Alike, outputs: Mapping[str, Path]) -> dict[str, Any]:
    """Everything the page shows that is not a number; photos are read back from the shards in `outputs`.

    A chart takes a tenth of a second, so they are drawn side by side, in processes of their own.
    """
    fork = multiprocessing.get_context("fork")
    processes = min(usable_cpus(), 2 + len(MEASURED))
    with ProcessPoolExecutor(processes, mp_context=fork, initializer=obey_parent) as pool:
        split_chart = pool.submit(_split_chart, report["splits"])
        source_chart = pool.submit(_source_chart, report["sources"]) if len(report["sources"]) > 1 else None
        looks_charts = [
            pool.submit(_histogram, MEASURED[name], numbers["photos"]) for name, numbers in report["looks"].items()
        ]
        photos = _photos(found, alike, outputs)
        return {
            "split_chart": split_chart.result(),
            "source_chart": source_chart.result() if source_chart else None,
            "looks_charts": [histogram.result() for histogram in looks_charts],
            **photos,
        }


def _photos(found: Findings, alike: Alike, outputs: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "samples": [
            (count, [_shown(outputs, shown.split, shown.photo, shown.blur) for shown in found.samples.get(count, [])])
            for count in COUNTS
        ],
        "blurred": [_shown(outputs, shown.split, shown.photo, shown.blur) for shown in found.blurred],
        "pairs": [
            {"photos": [_member(outputs, pair.first), _member(outputs, pair.second)], "pair": pair}
            for pair in alike.pairs[:PAIRS]
        ],
    }


def thumbnail(jpeg: bytes | memoryview, side: int = THUMBNAIL) -> str:
    """A small copy of a stored photo as a data URI."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.thumbnail((side, side))
        small = io.BytesIO()
        image.save(small, "JPEG", quality=75)
    return data_uri(small.getvalue())


def _split_chart(splits: Mapping[str, Any]) -> Markup:
    with chart("Photos by count and split", "objects in the bin", "photos") as drawing:
        width = 0.8 / len(SIDES)
        for offset, side in enumerate(SIDES):
            heights = [splits[side]["counts"][str(count)] for count in COUNTS]
            bars = drawing.axes.bar(np.arange(len(COUNTS)) + (offset - 1) * width, heights, width, label=side)
            drawing.axes.bar_label(bars, fontsize=7)
        drawing.axes.set_xticks(range(len(COUNTS)), [str(count) for count in COUNTS])
        drawing.axes.margins(y=0.18)
        drawing.axes.legend(frameon=False, loc="upper center", ncols=len(SIDES))
    return drawing.svg


def _source_chart(sources: Mapping[str, Mapping[str, int]]) -> Markup:
    """The mix of counts of each source: bars of equal length, so that mixes can be compared by eye."""
    names = sorted(sources, key=lambda name: (-sum(sources[name].values()), name))[:_SOURCES]
    numbers = np.array([[sources[name][str(count)] for count in COUNTS] for name in names], dtype=float)
    shares = 100 * numbers / numbers.sum(axis=1, keepdims=True)
    title = "Mix of counts by source" + (f", the largest {_SOURCES}" if len(sources) > _SOURCES else "")
    with chart(title, "share of the source's photos, %", "source", height=1.3 + 0.32 * len(names)) as drawing:
        left = np.zeros(len(names))
        for index, count in enumerate(COUNTS):
            drawing.axes.barh(range(len(names)), shares[:, index], left=left, label=str(count), color=f"C{index}")
            left += shares[:, index]
        labels = [f"{short(name, 20)} ({int(row.sum()):,})" for name, row in zip(names, numbers, strict=True)]
        drawing.axes.set_yticks(range(len(names)), labels)
        drawing.axes.invert_yaxis()
        drawing.axes.set_xlim(0, 100)
        drawing.axes.legend(title="objects", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return drawing.svg


def _histogram(feature: Feature, photos: Sequence[int]) -> Markup:
    """Bars for the bins from the first to the last that holds a photo."""
    filled = [index for index, number in enumerate(photos) if number] or [0]
    low, high = filled[0], filled[-1] + 1
    with chart(feature.title, feature.unit, "photos", width=4.6, height=2.8) as drawing:
        drawing.axes.bar(range(low, high), photos[low:high], 0.95)
        drawing.axes.set_xticks(range(low, high), feature.labels[low:high], rotation=45, ha="right", fontsize=7)
    return drawing.svg


def _member(outputs: Mapping[str, Path], member: Member) -> dict[str, Any]:
    return _shown(outputs, member.split, member.photo, None)


def _shown(outputs: Mapping[str, Path], split: str, photo: Photo, blur: float | None) -> dict[str, Any]:
    """A thumbnail, read back from the shard."""
    with (outputs[split] / photo.shard).open("rb") as shard:
        shard.seek(photo.offset)
        uri = thumbnail(shard.read(photo.size))
    return {"uri": uri, "id": photo.id, "count": photo.count, "split": split, "group": photo.group, "blur": blur}
