"""How often tests of paired answers in groups call a challenger better or worse, by simulation (docs/adr/0016).

    PYTHONPATH=model_code python -m benchmarks.gate_tests [--runs 2000]

Rows are ways in which groups come about. Where the true gain over photos is 0 a test at alpha 0.05 may reject 5% of the
time; in the rows "gain" more is better. `tally` is the gate's own test; the others are what it could be instead.
"""

import argparse
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from benchmarks.options import at_least
from tally.gate.mcnemar import clustered, exact, obuchowski

ALPHA = 0.05
GROUPS = (10, 40, 280)
DISCORDANT = 0.35
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Draw = np.random.Generator

# Group sizes of a test split of 452 real photos in 275 groups.
_REAL = np.repeat([1, 2, 3, 7, 5, 4, 10, 6, 13], [204, 48, 8, 4, 3, 3, 2, 2, 1])

SIZES: Mapping[str, Callable[[Draw, int], Ints]] = {
    "as in real photos": lambda draw, groups: draw.choice(_REAL, groups),
    "1 to 19 photos": lambda draw, groups: draw.integers(1, 20, groups),
    "heavy tail to 100": lambda draw, groups: np.minimum(100, np.ceil(draw.pareto(1.2, groups) + 1e-9)).astype(int),
    "singles and 20s": lambda draw, groups: np.where(draw.random(groups) < 0.8, 1, 20),
}


def _size_matters(draw: Draw, sizes: Ints) -> Floats:  # noqa: ARG001 - one signature for all
    """Large groups lean to the challenger, small ones to the champion; over photos both are equal."""
    large = sizes > np.median(sizes)
    inside, outside = max(int(sizes[large].sum()), 1), max(int(sizes[~large].sum()), 1)
    return np.where(large, 0.5 + 0.3 * min(1, outside / inside), 0.5 - 0.3 * min(1, inside / outside))


LEANS: Mapping[str, Callable[[Draw, Ints], Floats]] = {
    "independent": lambda draw, sizes: np.full(len(sizes), 0.5),  # noqa: ARG005 - one signature for all
    "correlated": lambda draw, sizes: draw.beta(0.5, 0.5, len(sizes)),
    "size matters": _size_matters,
    "skewed": lambda draw, sizes: np.where(draw.random(len(sizes)) < 0.1, 1.0, 0.5 - 0.05 / 0.9),
    "gain": lambda draw, sizes: draw.beta(1.5, 0.9, len(sizes)),
}
"""Share of a group's discordant photos that the challenger has right; mean 1/2 over photos but in "gain"."""


def durkalski(sizes: Ints, differences: Ints) -> float:
    """P-value of Durkalski et al. 2003, which weighs groups alike."""
    means = differences / sizes
    squares = float((means**2).sum())
    return float(chi2.sf(means.sum() ** 2 / squares, 1)) if squares else 1.0


def rejected(draw: Draw, sizes: Callable[[Draw, int], Ints], lean: Callable[[Draw, Ints], Floats], groups: int) -> Ints:
    """One simulated comparison: 0 or 1 for tally, Obuchowski with chi-squared, Durkalski, McNemar without groups."""
    photos = sizes(draw, groups)
    discordant = draw.binomial(photos, DISCORDANT)
    won = draw.binomial(discordant, lean(draw, photos))
    differences = 2 * won - discordant
    p_values = (
        clustered(differences).p_value,
        float(chi2.sf(obuchowski(differences), 1)),
        durkalski(photos, differences),
        exact(int((discordant - won).sum()), int(won.sum())).p_value,
    )
    return (np.array(p_values) < ALPHA).astype(np.int64)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_tests", description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=2000, help="comparisons a row (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    at_least(parser, arguments, runs=1, seed=0)
    draw = np.random.default_rng(arguments.seed)
    print(f"share of {arguments.runs} comparisons with p < {ALPHA:g}")
    print(f"{'models':14}{'group sizes':20}{'groups':>7}{'tally':>8}{'Obuchowski':>12}{'Durkalski':>11}{'McNemar':>9}")
    for lean, leans in LEANS.items():
        for name, sizes in SIZES.items():
            for groups in GROUPS:
                shares = sum(rejected(draw, sizes, leans, groups) for _ in range(arguments.runs)) / arguments.runs
                columns = "".join(f"{share:{width}.3f}" for share, width in zip(shares, (8, 12, 11, 9), strict=True))
                print(f"{lean:14}{name:20}{groups:7}{columns}", flush=True)


if __name__ == "__main__":
    main()
