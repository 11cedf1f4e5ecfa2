"""A delivery of photos as plain data: histograms on fixed bins, so that deliveries of different years can be compared.

profile = profile_of(counts, sources, rows, stored_side, groups)
json.dumps(profile.as_dict())
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tally.data.looks import Rows, known
from tally.data.observations import Indices, observations
from tally.labels import COUNTS

FORMAT = "tally-profile/1"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """Something that is measured on every photo. `cuts`: borders between bins; the first and the last bin are open.

    `stored`: measured on the stored photo, so it is comparable only between photos stored with the same long side.
    """

    title: str
    unit: str
    cuts: tuple[float, ...]
    stored: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each bin."""
        words = [f"{cut:g}" for cut in self.cuts]
        between = (f"{low}-{high}" for low, high in pairwise(words))
        return (f"< {words[0]}", *between, f"≥ {words[-1]}")


MEASURED: Mapping[str, Feature] = {
    "long_side": Feature(
        "Size of the originals",
        "long side, pixels",
        (200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 1000, 1200, 1600, 2400, 4000),
    ),
    "aspect": Feature(
        "Shape of the originals", "width / height", (0.5, 0.67, 0.8, 0.95, 1.05, 1.2, 1.35, 1.5, 1.75, 2, 3)
    ),
    "brightness": Feature("Brightness", "mean grey value, 0-255", tuple(range(16, 256, 16)), stored=True),
    "contrast": Feature("Contrast", "standard deviation of grey values", tuple(range(8, 120, 8)), stored=True),
    "blur": Feature(
        "Sharpness", "variance of the Laplacian, low is blurred", tuple(2.0**k for k in range(1, 15)), stored=True
    ),
}
"""Features with fixed bins. New cuts would make older profiles incomparable: give the feature another name then."""

CATEGORIES: Mapping[str, str] = {"count": "Objects in the bin", "source": "Source"}


@dataclass(frozen=True)
class Profile:
    """`categories`: feature -> label -> photos; `measured`: feature -> photos in each bin of MEASURED.

    `photos` that were counted, `known`: those whose looks are known, which alone are in `measured`. `worth`: how many
    independent photos all are worth, see `observations`; None where their groups are unknown.
    """

    photos: int
    known: int
    stored_side: int
    categories: Mapping[str, Mapping[str, int]]
    measured: Mapping[str, tuple[int, ...]]
    worth: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data; the bins are written out, so that a reader needs no code."""
        return {
            "format": FORMAT,
            "photos": self.photos,
            "known": self.known,
            "worth": self.worth,
            "stored_side": self.stored_side,
            "categories": {name: dict(numbers) for name, numbers in self.categories.items()},
            "measured": {
                name: {"cuts": list(MEASURED[name].cuts), "photos": list(numbers)}
                for name, numbers in self.measured.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Profile":
        """The way back from JSON; features whose cuts are other ones than today's are left out.

        Raises:
            ValueError: it is no profile, or of another format.
        """
        try:
            if data["format"] != FORMAT:
                raise ValueError(f"format is {data['format']!r}, not {FORMAT!r}")
            return cls(
                photos=int(data["photos"]),
                known=int(data["known"]),
                stored_side=int(data["stored_side"]),
                categories={
                    name: {str(label): int(number) for label, number in data["categories"][name].items()}
                    for name in CATEGORIES
                },
                measured={
                    name: tuple(int(number) for number in data["measured"][name]["photos"])
                    for name, feature in MEASURED.items()
                    if _fits(data["measured"].get(name), feature)
                },
                worth=None if data.get("worth") is None else float(data["worth"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a profile of photos: {error!r}") from error


def _fits(found: Any, feature: Feature) -> bool:
    return (
        isinstance(found, Mapping)
        and found.get("cuts") == list(feature.cuts)
        and len(found.get("photos", ())) == len(feature.cuts) + 1
    )


def profile_of(
    counts: Iterable[int], sources: Iterable[str], rows: Rows, stored_side: int, groups: Indices | None = None
) -> Profile:
    """Profile photos: the count and source of each, its row of looks (`rows` [n], unknown ones among them), and the
    number of its group (`groups` [n], None where that is unknown)."""
    by_count = Counter(counts)
    seen = rows[known(rows)]
    return Profile(
        photos=len(rows),
        known=len(seen),
        stored_side=stored_side,
        categories={
            "count": {str(count): by_count[count] for count in COUNTS},
            "source": dict(sorted(Counter(sources).items())),
        },
        measured={name: _histogram(values, MEASURED[name].cuts) for name, values in features(seen).items()},
        worth=None if groups is None else observations(groups),
    )


def features(rows: Rows) -> dict[str, Floats]:
    """The measured features of photos whose looks are known, each [n]."""
    width, height = rows["width"].astype(np.float64), rows["height"].astype(np.float64)
    return {
        "long_side": np.maximum(width, height),
        "aspect": width / height,
        **{name: rows[name].astype(np.float64) for name in ("brightness", "contrast", "blur")},
    }


def _histogram(values: Floats, cuts: Sequence[float]) -> tuple[int, ...]:
    bins = np.searchsorted(np.asarray(cuts, dtype=np.float64), values, side="right")
    return tuple(int(number) for number in np.bincount(bins, minlength=len(cuts) + 1))
