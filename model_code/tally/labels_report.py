"""suspicious_labels.csv and labels.html: which labels people should look at first, and how far to trust the list."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from tally.data.files import make_folder, replacing, replacing_path
from tally.data.report_pictures import thumbnail
from tally.data.shards import Photo, Split
from tally.html import chart, write_report
from tally.labels import COUNTS
from tally.labels_check import FOLDS, Suspects

SHOWN = 60
"""Photos on the page; the CSV has all."""

_SIDE = 200


def write_suspects(directory: Path, suspects: Suspects, splits: Sequence[tuple[str, Split]]) -> None:
    """Write both files. `splits`: name and split, in the order of the photos of `suspects`.

    TallyError when they cannot be written.
    """
    make_folder(directory)
    places = [(name, split, index) for name, split in splits for index in range(len(split))]
    with replacing(directory / "suspicious_labels.csv") as file:
        file.write(_csv(suspects, places).encode("utf-8", "surrogateescape"))
    with replacing_path(directory / "labels.html") as page:
        write_report(
            page,
            "labels.html",
            checked=suspects,
            photos=len(places),
            folds=FOLDS,
            counts=COUNTS,
            agreement=_agreement_chart(suspects),
            shown=[_shown(suspects, places, at) for at in suspects.order[:SHOWN].tolist()],
        )


Place = tuple[str, Split, int]


def _csv(suspects: Suspects, places: Sequence[Place]) -> str:
    """One row a suspicious photo, the worst first."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    probabilities = [f"p{count}" for count in COUNTS]
    writer.writerow(["rank", "id", "split", "label", "seen_as", "score", *probabilities, "group", "source"])
    for rank, at in enumerate(suspects.order.tolist(), 1):
        photo, split = _photo(places, at), places[at][0]
        given = [f"{value:.4f}" for value in suspects.probabilities[at]]
        seen = COUNTS[suspects.seen[at]]
        writer.writerow(
            [rank, photo.id, split, photo.count, seen, f"{suspects.score[at]:.4f}", *given, photo.group, photo.source]
        )
    return text.getvalue()


def _photo(places: Sequence[Place], at: int) -> Photo:
    _, split, index = places[at]
    return split.photos[index]


def _shown(suspects: Suspects, places: Sequence[Place], at: int) -> dict[str, Any]:
    name, split, index = places[at]
    return {
        "picture": thumbnail(split.jpeg(index), _SIDE),
        "photo": split.photos[index],
        "split": name,
        "seen": COUNTS[suspects.seen[at]],
        "confidence": float(suspects.probabilities[at, suspects.seen[at]]),
        "likely": float(suspects.probabilities[at, suspects.true[at]]),
    }


def _agreement_chart(suspects: Suspects) -> Markup:
    """Recall of each count: how often the checker sees what the label says."""
    shares = [
        100 * float((suspects.seen[suspects.true == index] == index).mean()) if (suspects.true == index).any() else 0.0
        for index in range(len(COUNTS))
    ]
    with chart("How often the checker agrees", "label", "photos of the label, %", width=4.6, height=2.8) as drawing:
        bars = drawing.axes.bar(np.arange(len(COUNTS)), shares, 0.7)
        drawing.axes.bar_label(bars, fmt="%.0f", fontsize=8)
        drawing.axes.set_xticks(range(len(COUNTS)), [str(count) for count in COUNTS])
        drawing.axes.set_ylim(0, 108)
    return drawing.svg
