"""report.json, report.html and near_duplicates.csv: what Preprocess found in the photos, used and set aside."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tally.data.alike import Alike, find_alike, write_pairs
from tally.data.association import MEDIUM_EFFECT, SourceEffect, TellTale, source_effect, tell_tale_sources
from tally.data.files import make_folder, replacing, replacing_path
from tally.data.findings import Findings
from tally.data.grouping import SIDES
from tally.data.looks import Rows
from tally.data.profile import profile_of
from tally.data.projection import Projected
from tally.data.report_pictures import pictures
from tally.data.sources import Source
from tally.html import write_report
from tally.labels import COUNTS

_ROWS = 300
"""Quarantined files and guard ids that the page lists; report.json lists all."""


@dataclass(frozen=True)
class Run:
    """One instance's finished work. `part` of `parts` instances; `outputs`: folder of each split; `looks`: its rows in
    the order of its manifest; `seconds`: until the shards were written."""

    source: Source
    findings: Findings
    looks: Mapping[str, Rows]
    guard: list[str]
    outputs: Mapping[str, Path]
    stored_side: int
    part: int
    parts: int
    seconds: float
    projection: tuple[Projected, ...]


def write_reports(directory: Path, run: Run) -> dict[str, Any]:
    """Write the reports to `directory` and return the data of report.json.

    With several instances each writes its own, named after its part. TallyError when they cannot be written.
    """
    make_folder(directory)
    suffix = "" if run.parts == 1 else f"-{run.part:05d}-of-{run.parts:05d}"
    alike = find_alike(run.looks, run.outputs, run.part, run.parts)
    pairs_file = f"near_duplicates{suffix}.csv"
    write_pairs(directory / pairs_file, alike)
    report = describe(run, alike, pairs_file)
    with replacing(directory / f"report{suffix}.json") as file:
        file.write(json.dumps(report, indent=1).encode())
    with replacing_path(directory / f"report{suffix}.html") as page:
        drawn = pictures(report, run.findings, alike, run.outputs)
        write_report(page, "data.html", report=report, rows=_ROWS, sides=SIDES, counts=COUNTS, **drawn)
    return report


def describe(run: Run, alike: Alike, pairs_file: str) -> dict[str, Any]:
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
    effect = source_effect(found.origins)
    rows = np.concatenate([run.looks[side] for side in SIDES])
    profile = profile_of(rows["count"].tolist(), [], rows, run.stored_side).as_dict()
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
        "source_effect": effect.as_dict() if effect else None,
        "looks": profile["measured"],
        "most_blurred": [{"id": shown.photo.id, "blur": round(shown.blur, 1)} for shown in found.blurred],
        "near_duplicates": alike.as_dict() | {"file": pairs_file},
        "seconds": round(run.seconds, 2),
        "photos_per_second": round((used + len(found.quarantined)) / max(run.seconds, 1e-3)),
        "projection": [asdict(row) for row in run.projection],
        "warnings": [
            *run.source.warnings,
            *(_class_warnings(found) + _source_warnings(effect) if run.parts == 1 else []),
            *alike.warnings(pairs_file),
        ],
    }


def _class_warnings(found: Findings) -> list[str]:
    """Classes a model cannot learn or be judged on, or that it could recognise by where the photos come from."""
    warnings = [
        f"count {count} has no photos in {side}: add some, or the model "
        + ("never learns it" if side == "train" else f"is not measured on it in {side}")
        for count in COUNTS
        for side in SIDES
        if not found.counts[side, count]
    ]
    return warnings + [_tell_tale_warning(found) for found in tell_tale_sources(found.origins)]


def _tell_tale_warning(found: TellTale) -> str:
    if found.photos == found.total:
        return f"all photos of count {found.count} come from source {found.source!r}: a model may learn the source"
    return (
        f"{100 * found.photos / found.total:.0f}% of the photos of count {found.count} come from source "
        f"{found.source!r}, which holds {100 * found.overall:.0f}% of all: a model may learn the source"
    )


def _source_warnings(effect: SourceEffect | None) -> list[str]:
    """Sources that give the count away."""
    if effect is None or (effect.effect < MEDIUM_EFFECT and not effect.apart):
        return []
    apart = ", ".join(f"{source!r} ({strength:.2f})" for source, strength in effect.apart.items())
    return [
        f"source and count go together (Cramer's V {effect.cramers_v:.2f}): knowing only the source, "
        f"{100 * effect.guess_with_source:.1f}% of the counts are guessed right, without it "
        f"{100 * effect.guess_without:.1f}%"
        + (f"; the mix of counts differs most in {apart}, against all other photos" if apart else "")
    ]
