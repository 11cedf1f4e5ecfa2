"""The learning curve: accuracy of the default recipe against the photos it was trained on, and how it may go on.

Error rates of deep networks fall with the photos by a power law until label noise stops them (Hestness et al. 2017,
"Deep Learning Scaling is Predictable, Empirically"), so what lies beyond the last point is an estimate, and a hopeful
one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from benchmarks.recipes_bench import BASELINE, Bench
from benchmarks.recipes_figures import figures_of
from benchmarks.recipes_jobs import SPLITS
from benchmarks.recipes_views import share_of_groups

PUBLIC_PHOTOS = 530_000  # the public data set
USABLE_PHOTOS = 198_000  # of them with 1 to 5 objects, in the published results; Preprocess sets the others aside
MEASURES = ("accuracy", "class-balanced accuracy")
_NORMAL = 1.959964  # standard deviations either way of a 95% interval


@dataclass(frozen=True)
class PowerLaw:
    """Error rate `exp(level) * photos ** -exponent`; `covariance` is that of (level, exponent)."""

    level: float
    exponent: float
    covariance: tuple[tuple[float, float], tuple[float, float]]

    @classmethod
    def fit(cls, photos: Sequence[float], accuracies: Sequence[float], errors: Sequence[float]) -> "PowerLaw":
        """Fit by weighted least squares on logarithms; `errors` are standard errors of `accuracies`.

        All points are judged on the same photos, whose luck moves them together. It is counted as if each had its own,
        so the interval is rather too wide. ValueError for fewer than two sizes, or an accuracy of 1.
        """
        if len(set(photos)) < 2:
            raise ValueError(f"a power law through {sorted(set(photos))} photos: needs at least two sizes")
        wrong = 1 - np.asarray(accuracies, dtype=float)
        if wrong.min() <= 0:
            raise ValueError("a power law through an accuracy of 1: there is no error left that could fall")
        deviations = np.maximum(np.asarray(errors, dtype=float), 1e-6) / wrong
        values, covariance = curve_fit(
            _line,
            np.log(np.asarray(photos, dtype=float)),
            np.log(wrong),
            sigma=deviations,
            absolute_sigma=True,
            p0=(0, 0),
        )
        (a, b), (c, d) = covariance.tolist()
        return cls(float(values[0]), float(values[1]), ((a, b), (c, d)))

    def accuracy(self, photos: float) -> tuple[float, float, float]:
        """Accuracy at `photos` with its 95% interval (expected, low, high), by the covariance of the fit."""
        slope = np.array([1.0, -math.log(photos)])
        middle = float(slope @ np.array([self.level, self.exponent]))
        reach = _NORMAL * math.sqrt(float(slope @ np.array(self.covariance) @ slope))
        return 1 - math.exp(middle), 1 - math.exp(middle + reach), 1 - math.exp(middle - reach)


def _line(logarithms: npt.NDArray[np.float64], level: float, exponent: float) -> npt.NDArray[np.float64]:
    return level - exponent * logarithms


def learning_curve(bench: Bench, shares: Sequence[float]) -> dict[str, Any]:
    """Train the default recipe on every share with every seed; plain JSON data.

    A smaller share gets more epochs, so that all take as many steps: otherwise it would also be trained less, and the
    curve be too steep. The trainer keeps the best epoch, so nothing is lost by too many.
    """
    splits = bench.splits()
    epochs, seeds = bench.epochs(splits), range(bench.choices.seeds)
    baseline = bench.baseline(splits)
    rows, later = [], len(shares) * len(seeds)
    for seed in seeds:
        for share in sorted(shares):
            later -= 1
            view = share_of_groups(splits, bench.jobs.folder, share, seed)
            hyperparameters = bench.defaults.recipe(seed, max(epochs, round(epochs / share)))
            trained = bench.train(f"seed {seed}, {share:.0%} of the photos", hyperparameters, view, later=later)
            models = {"challenger": trained, "champion": baseline, "baseline": baseline}
            found = bench.evaluate(f"seed {seed}, {share:.0%}, the gate", splits, models, BASELINE, seed)
            judged = found["models"]["challenger"]
            rows.append(
                {
                    "seed": seed,
                    "share": share,
                    "photos": len(view.photos("train")),
                    "epochs": len(trained.history),
                    "figures": figures_of(judged, trained),
                    "points": {name: _point(judged, name) for name in MEASURES},
                }
            )
    photos = {name: len(splits.photos(name)) for name in SPLITS}
    full = round(USABLE_PHOTOS * photos["train"] / sum(photos.values()))
    return {
        "split": bench.choices.split,
        "photos": photos,
        "points": rows,
        "fits": {name: _fitted(rows, name, full) for name in MEASURES},
        "estimate_at": full,
    }


def _point(model: Mapping[str, Any], name: str) -> list[float]:
    """Accuracy and its 95% interval: found, low, high."""
    part = model if name == "accuracy" else model["balanced"]
    return [float(part["accuracy"]), *map(float, part["intervals"]["accuracy"])]


def _fitted(rows: Sequence[dict[str, Any]], name: str, full: int) -> dict[str, Any]:
    points = [row["points"][name] for row in rows]
    errors = [(high - low) / (2 * _NORMAL) for _, low, high in points]
    try:
        law = PowerLaw.fit([row["photos"] for row in rows], [found for found, _, _ in points], errors)
    except ValueError as error:  # the points are worth their hours of training without a law, too
        return {"none": str(error)}
    return {**asdict(law), "estimate": list(law.accuracy(full))}
