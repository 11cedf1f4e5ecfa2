"""The default recipe against the plain fine-tune of the published projects: same split, weights, time and machine."""

from dataclasses import asdict
from typing import Any

from benchmarks.recipes_bench import CHAMPION, Bench
from benchmarks.recipes_figures import claims, figures_of, spreads, without_pixels
from benchmarks.recipes_jobs import SPLITS, Trained

Result = dict[str, Any]


def compare(bench: Bench) -> Result:
    """Train and judge both recipes with every seed; the result is plain JSON data.

    Where the plain recipe has fewer seeds than the default one, each of its models meets several, and was trained at
    least as long as the longest of them.
    """
    splits = bench.splits()
    epochs, seeds, plain_seeds = bench.epochs(splits), bench.choices.seeds, bench.choices.seeds_of_plain
    baseline = bench.baseline(splits)
    later = seeds + plain_seeds
    recipes, plains = [], []
    for seed in range(seeds):
        later -= 1
        what = f"seed {seed}, default recipe"
        recipes.append(bench.train(what, bench.defaults.recipe(seed, epochs), splits, later=later))
    for seed in range(plain_seeds):
        later -= 1
        longest = max(recipe.seconds for recipe in recipes[seed::plain_seeds])
        plains.append(bench.train_plain(seed, longest, splits, later=later))
    rows = []
    for seed, recipe in enumerate(recipes):
        models = {"challenger": recipe, "champion": plains[seed % plain_seeds], "baseline": baseline}
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
        "plain_seeds": plain_seeds,
        "baselines": {"frozen backbone": figures_of(found["models"]["baseline"], baseline), **without},
        "over_seeds": {
            "default": _plain(spreads(figures["default"])),
            "plain": _plain(spreads(figures["plain"][:plain_seeds])),
        },
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
