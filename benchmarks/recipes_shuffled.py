"""The control: a model that was trained on permuted labels knows nothing, and the gate does not let it pass.

Were it better than chance on true labels, the test photos would have leaked into training; were it promoted, the gate
would be worth nothing. It meets the baseline, trained on true labels, under the name that loosens the gate most.
"""

import statistics
from typing import Any

from benchmarks.recipes_bench import BASELINE, Bench
from benchmarks.recipes_figures import COUNTS, figures_of
from benchmarks.recipes_jobs import SPLITS
from benchmarks.recipes_views import shuffled_labels

CHANCE = 1 / len(COUNTS)  # class-balanced accuracy of answers that do not depend on the photo's label
_ROUNDING = 1e-9


def control(bench: Bench) -> dict[str, Any]:
    """Train the default recipe on permuted labels with every seed, and let the gate judge it; plain JSON data."""
    splits = bench.splits()
    epochs, seeds = bench.epochs(splits), range(bench.choices.seeds)
    baseline = bench.baseline(splits)
    rows = []
    for seed in seeds:
        view = shuffled_labels(splits, bench.jobs.folder, seed)
        what = f"seed {seed}, permuted labels"
        trained = bench.train(what, bench.defaults.recipe(seed, epochs), view, later=len(seeds) - seed - 1)
        models = {"challenger": trained, "champion": baseline, "baseline": baseline}
        found = bench.evaluate(f"seed {seed}, the gate", splits, models, BASELINE, seed)
        judged = found["models"]["challenger"]
        low, high = judged["balanced"]["intervals"]["accuracy"]
        rows.append(
            {
                "seed": seed,
                "figures": figures_of(judged, trained),
                "interval": [low, high],
                "at_chance": _holds_chance(low, high),
                "refused": found["gate"]["verdict"] != "promote",
                "gate": found["gate"],
                "baseline_balanced_accuracy": found["models"]["baseline"]["balanced"]["accuracy"],
                "report": found["page"],
            }
        )
    # Over the seeds together: of three intervals that are right 95 times in 100 one is wrong too often.
    low, high = (statistics.fmean(row["interval"][side] for row in rows) for side in (0, 1))
    return {
        "split": bench.choices.split,
        "photos": {name: len(splits.photos(name)) for name in SPLITS},
        "epochs": epochs,
        "seeds": rows,
        "mean": statistics.fmean(row["figures"]["balanced_accuracy"] for row in rows),
        "mean_interval": [low, high],
        "at_chance": _holds_chance(low, high),
        "refused": all(row["refused"] for row in rows),
        "holds": _holds_chance(low, high) and all(row["refused"] for row in rows),
    }


def _holds_chance(low: float, high: float) -> bool:
    return low - _ROUNDING <= CHANCE <= high + _ROUNDING
