"""Rows of docs/experiments.md from a file of results.

    PYTHONPATH=model_code python -m experiments.table build/experiments.jsonl [VIEW]

VIEW is `alone`, `softened` (without the way back from softened labels), `mirrored` or `last_weights`.
Rows of one name are runs with other seeds: means, and the spread as the standard deviation where there are several.
"""

import json
import shlex
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

COLUMNS = ("accuracy", "macro_f1", "within_1", "rmse_argmax", "rmse_median", "rmse_mean", "log_loss")
_PLACES = ("--name", "--shards", "--weights", "--results", "--keep")
VIEWS = ("alone", "softened", "mirrored", "last_weights")


def rows(results: list[dict[str, Any]], view: str) -> list[str]:
    """Markdown rows, one a name in the order of first appearance; `view` is one of VIEWS.

    ValueError where rows of one name are not the same recipe with different seeds.
    """
    names = list(dict.fromkeys(row["name"] for row in results if view in row))
    lines = []
    for name in names:
        runs = [row for row in results if row["name"] == name and view in row]
        if len({run["seed"] for run in runs}) < len(runs):
            raise ValueError(f"several rows of '{name}' have one seed; leave one, or name the others differently")
        if len({_recipe(run) for run in runs}) > 1:
            raise ValueError(f"rows of '{name}' differ in more than their seed; give each recipe a name of its own")
        figures = [run[view] for run in runs]
        cells = [_cell([figure[column] for figure in figures]) for column in COLUMNS]
        recalls = " ".join(
            f"{mean(recall):.2f}" for recall in zip(*(figure["recall"] for figure in figures), strict=True)
        )
        seconds = round(mean(run["seconds"] for run in runs))
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} | {recalls} | {seconds} |")
    return lines


def _recipe(run: dict[str, Any]) -> frozenset[str]:
    """What was trained: all words of the command but the seed, names and places."""
    words = iter(shlex.split(run["command"]))
    kept = set()
    for word in words:
        option, is_whole, _ = word.partition("=")
        if option not in (*_PLACES, "seed"):
            kept.add(word)
        elif not is_whole:
            next(words, None)
    return frozenset(kept)


def _cell(values: list[float]) -> str:
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread}"


def main() -> None:
    """Print the table of the file that is named on the command line."""
    view = sys.argv[2] if len(sys.argv) == 3 else VIEWS[0]
    if len(sys.argv) not in (2, 3) or not Path(sys.argv[1]).is_file() or view not in VIEWS:
        sys.exit(f"say which results, and how judged: python -m experiments.table FILE [{' | '.join(VIEWS)}]")
    results = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    try:
        found = rows(results, view)
    except ValueError as error:
        sys.exit(f"error: {sys.argv[1]}: {error}")
    print(f"| name | seeds | {' | '.join(COLUMNS)} | recall of 1 to 5 | seconds |")
    print("|---" * (len(COLUMNS) + 4) + "|")
    print("\n".join(found))


if __name__ == "__main__":
    main()
