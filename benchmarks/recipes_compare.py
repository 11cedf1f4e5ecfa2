"""The default recipe against the plain fine-tune of the published projects: same split, weights, time and machine."""

from dataclasses import asdict
from typing import Any

from benchmarks.recipes_bench import CHAMPION, Bench
from benchmarks.recipes_figures import claims, figures_of, spreads, without_pixels
from benchmarks.recipes_jobs import SPLITS, Trained

Result = dict[str, Any]


def compare(bench: Bench) -> Result:
    """Train and judge both recipes with every seed; the result is plain JSON data."""
    splits = bench.splits()
    epochs, seeds = bench.epochs(splits), range(bench.choices.seeds)
    baseline = bench.baseline(splits)
    rows = []
    for seed in seeds:
        later = 2 * (len(seeds) - seed) - 1
        what = f"seed {seed}, default recipe"
        recipe = bench.train(what, bench.defaults.recipe(seed, epochs), splits, later=later)
        plain = bench.train_plain(seed, recipe, splits, later=later - 1)
        models = {"challenger": recipe, "champion": plain, "baseline": baseline}
        found = bench.evaluate(f"seed {seed}, the gate", splits, models, CHAMPION, seed)
        rows.append(_row(seed, found, models))
    figures = {name: [row["models"][name]["figures"] for row in rows] for name in ("default", "plain")}
    held = claims(figures["default"], figures["plain"], [row["gate"] for row in rows])
    without = {name: without_pixels(found["models"][name]) for name in ("majority", "median", "source")}
    return {
        "split": bench.choices.split,
        "photos": {name: len(splits.photos(name)) for name in SPLITS},
        "left_to_the_trainer": bench.defaults.tuned,
        "seeds": rows,
        "baselines": {"frozen backbone": figures_of(found["models"]["baseline"], baseline), **without},
        "over_seeds": {name: _plain(spreads(seeds)) for name, seeds in figures.items()},
        "claims": [asdict(claim) for claim in held],
    }


def _row(seed: int, found: Result, models: dict[str, Trained]) -> Result:
    recipe, plain = models["challenger"], models["champion"]
    return {
        "seed": seed,
        "models": {
            "default": _model(found["models"]["challenger"], recipe),
            "plain": _model(found["models"]["champion"], plain),
        },
        "gate": found["gate"],
        "report": found["page"],
    }


def _model(model: Result, trained: Trained) -> Result:
    return {
        "figures": figures_of(model, trained),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "job_seconds": trained.job_seconds,
        "settings": dict(trained.settings),
        "training": trained.key,
    }


def _plain(found: dict[str, Any]) -> Result:
    return {name: asdict(spread) for name, spread in found.items()}
