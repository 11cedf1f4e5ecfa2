"""report.json and report.html: what Preprocess found in the photos, what it used and what it set aside."""

import io
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from tally.data.files import make_folder, replacing, replacing_path
from tally.data.findings import SIZE_BIN, Findings, Shown
from tally.data.grouping import SIDES
from tally.data.sources import Source
from tally.html import chart, data_uri, write_report
from tally.labels import COUNTS

THUMBNAIL = 144
"""Long side of a photo in the report, pixels."""

_ROWS = 300
"""Quarantined files and guard ids that the page lists; report.json lists all."""


@dataclass(frozen=True)
class Run:
    """One instance's finished work. `part` of `parts` instances; `outputs`: folder of each split."""

    source: Source
    findings: Findings
    guard: list[str]
    outputs: Mapping[str, Path]
    stored_side: int
    part: int
    parts: int
    seconds: float


def write_reports(directory: Path, run: Run) -> dict[str, Any]:
    """Write both reports to `directory` and return the data of report.json.

    With several instances each writes its own pair, named after its part. TallyError when they cannot be written.
    """
    make_folder(directory)
    name = "report" if run.parts == 1 else f"report-{run.part:05d}-of-{run.parts:05d}"
    report = describe(run)
    with replacing(directory / f"{name}.json") as file:
        file.write(json.dumps(report, indent=1).encode())
    with replacing_path(directory / f"{name}.html") as page:
        write_report(page, "data.html", report=report, rows=_ROWS, **_pictures(run, report))
    return report


def describe(run: Run) -> dict[str, Any]:
    """The content of report.json."""
    found = run.findings
    found.quarantined.sort(key=lambda item: (item.id, item.file))
    splits = {
        side: {
            "photos": sum(found.counts[side, count] for count in COUNTS),
            "groups": found.groups[side],
            "counts": {str(count): found.counts[side, count] for count in COUNTS},
        }
        for side in SIDES
    }
    used = sum(found.counts.values())
    seen = used + len(found.quarantined) + len(run.guard)
    origins = sorted({origin for origin, _ in found.origins})
    return {
        "layout": run.source.layout,
        "part": run.part,
        "parts": run.parts,
        "stored_side": run.stored_side,
        "photos_seen": seen,
        "photos_used": used,
        "splits": splits,
        "guard": run.guard,
        "quarantined": [asdict(item) for item in found.quarantined],
        "reasons": dict(sorted(Counter(item.reason for item in found.quarantined).items())),
        "sources": {
            origin: {str(count): found.origins[origin, count] for count in COUNTS} for origin in origins if origin
        },
        "long_side_pixels": {f"{low}-{low + SIZE_BIN - 1}": found.sizes[low] for low in _span(found.sizes, SIZE_BIN)},
        "blur_scores": {f"{2**k if k else 0}-{2 ** (k + 1)}": found.blur[k] for k in _span(found.blur, 1)},
        "most_blurred": [{"id": shown.photo.id, "blur": round(shown.blur, 1)} for shown in found.blurred],
        "seconds": round(run.seconds, 2),
        "photos_per_second": round((used + len(found.quarantined)) / max(run.seconds, 1e-3)),
        "warnings": [*run.source.warnings, *(_class_warnings(found) if run.parts == 1 else [])],
    }


def _span(bins: Collection[int], step: int) -> range:
    """All bins from the first to the last, empty ones too."""
    return range(min(bins, default=0), max(bins, default=-step) + step, step)


def _class_warnings(found: Findings) -> list[str]:
    """Classes a model cannot learn or be judged on, or that it could recognise by where the photos come from."""
    warnings = [
        f"count {count} has no photos in {side}: add some, or the model "
        + ("never learns it" if side == "train" else f"is not measured on it in {side}")
        for count in COUNTS
        for side in SIDES
        if not found.counts[side, count]
    ]
    origins = {origin for origin, _ in found.origins}
    for count in COUNTS:
        those = [origin for origin in origins if found.origins[origin, count]]
        if len(those) == 1 < len(origins):
            warnings.append(f"all photos of count {count} come from source {those[0]!r}: a model may learn the source")
    return warnings


def _pictures(run: Run, report: Mapping[str, Any]) -> dict[str, Any]:
    found = run.findings
    return {
        "sides": SIDES,
        "counts": COUNTS,
        "split_chart": _split_chart(report),
        "size_chart": _histogram("Size of the originals", "long side, pixels from", report["long_side_pixels"]),
        "blur_chart": _histogram("Sharpness", "variance of the Laplacian, from", report["blur_scores"]),
        "samples": [(count, [_figure(run, shown) for shown in found.samples.get(count, [])]) for count in COUNTS],
        "blurred": [_figure(run, shown) for shown in found.blurred],
    }


def _split_chart(report: Mapping[str, Any]) -> Markup:
    with chart("Photos by count and split", "objects in the bin", "photos") as drawing:
        width = 0.8 / len(SIDES)
        for offset, side in enumerate(SIDES):
            heights = [report["splits"][side]["counts"][str(count)] for count in COUNTS]
            bars = drawing.axes.bar(np.arange(len(COUNTS)) + (offset - 1) * width, heights, width, label=side)
            drawing.axes.bar_label(bars, fontsize=7)
        drawing.axes.set_xticks(range(len(COUNTS)), [str(count) for count in COUNTS])
        drawing.axes.margins(y=0.18)
        drawing.axes.legend(frameon=False, loc="upper center", ncols=len(SIDES))
    return drawing.svg


def _histogram(title: str, x: str, bins: Mapping[str, int]) -> Markup:
    with chart(title, x, "photos", width=4.6, height=2.8) as drawing:
        lows = [label.split("-")[0] for label in bins]
        drawing.axes.bar(range(len(lows)), list(bins.values()), 0.95)
        every = max(1, -(-len(lows) // 10))
        drawing.axes.set_xticks(range(0, len(lows), every), lows[::every])
    return drawing.svg


def _figure(run: Run, shown: Shown) -> dict[str, Any]:
    """A thumbnail, read back from the shard."""
    with (run.outputs[shown.split] / shown.photo.shard).open("rb") as shard:
        shard.seek(shown.photo.offset)
        image = Image.open(io.BytesIO(shard.read(shown.photo.size)))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    small = io.BytesIO()
    image.save(small, "JPEG", quality=75)
    return {
        "uri": data_uri(small.getvalue()),
        "id": shown.photo.id,
        "count": shown.photo.count,
        "split": shown.split,
        "blur": shown.blur,
    }
