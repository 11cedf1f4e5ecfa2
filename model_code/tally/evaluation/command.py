"""python -m tally evaluate --champion-name NAME [--alpha 0.05 ...]

Reads processing/input/{test,challenger,champion,baseline}, writes evaluation.json, predictions.csv and evaluation.html
to processing/output/evaluation.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tally.data.shards import Split
from tally.errors import TallyError
from tally.evaluation.bootstrap import GroupBootstrap
from tally.evaluation.document import Evaluation, assess, assess_majority, write_predictions
from tally.evaluation.scoring import Scored, Truth, latencies, score
from tally.evaluation.unpack import unpack_model
from tally.gate import GateSettings, decide
from tally.paths import MlPaths

MODELS = ("challenger", "champion", "baseline")
BASELINE = "baseline"  # what FindChampion calls the champion when no model is in service


def main(argv: list[str], paths: MlPaths) -> None:
    """Evaluate the challenger and write the verdict; a refusal is a result, not an error.

    TallyError when an input is missing, damaged or of another format, a setting is out of range, or the output cannot
    be written.
    """
    arguments, settings = _parse(argv)
    split = Split.open(paths.processing_input("test"))
    truth = Truth.of(split)
    with tempfile.TemporaryDirectory(prefix="tally-models-") as scratch:
        directories = {
            name: unpack_model(paths.processing_input(name) / "model.tar.gz", Path(scratch) / name) for name in MODELS
        }
        scored = {name: score(name, directory, split) for name, directory in directories.items()}
        milliseconds = latencies(directories, split)
    bootstrap = GroupBootstrap(truth.group_numbers, arguments.seed)
    assessments = {name: assess(name, scored[name], truth, bootstrap, milliseconds[name]) for name in MODELS}
    verdict = decide(
        truth.true,
        scored["champion"].predicted,
        scored["challenger"].predicted,
        truth.groups,
        latency_ms=(milliseconds["champion"], milliseconds["challenger"]),
        settings=settings,
    )
    evaluation = Evaluation(
        split=split,
        truth=truth,
        scored=scored,
        assessments=assessments | {"majority": assess_majority(truth, bootstrap)},
        verdict=verdict,
        champion_name=arguments.champion_name,
        warnings=_warnings(split, scored),
    )
    _write(paths.processing_output("evaluation"), evaluation)
    for warning in evaluation.warnings:
        print(f"warning: {warning}", flush=True)
    print(f"verdict={verdict.verdict} p={verdict.p_value:.6g} gain={verdict.gain:+.6f}: {verdict.reason}", flush=True)


def _parse(argv: list[str]) -> tuple[argparse.Namespace, GateSettings]:
    parser = argparse.ArgumentParser(prog="python -m tally evaluate", description=__doc__.split("\n\n")[1])
    defaults = GateSettings()
    help_texts = {
        "alpha": "significance level of the two-sided paired test",
        "max_macro_f1_drop": "how far macro-F1 may fall",
        "max_recall_drop": "how far the recall of any one count may fall",
        "max_rmse_increase": "how far RMSE may rise, in objects",
        "latency_budget_ms": "most milliseconds for one photo, median",
        "gain_that_matters": "accuracy gain worth a release: decides between reject and underpowered",
        "wanted_power": "chance of seeing that gain from which a test set is large enough",
    }
    for name, text in help_texts.items():
        flag, default = f"--{name.replace('_', '-')}", getattr(defaults, name)
        parser.add_argument(flag, type=float, default=default, help=f"{text} (default {default:g})")
    parser.add_argument("--champion-name", required=True, help="who the champion is: a model package, or baseline")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    arguments = parser.parse_args(argv)
    if arguments.seed < 0:
        raise TallyError(f"--seed is {arguments.seed}; it must not be negative")
    settings = GateSettings(**{name: getattr(arguments, name) for name in help_texts})
    if arguments.champion_name == BASELINE:
        # Recall guards keep what users of a model in service have. A baseline serves nobody, and one that always gives
        # the same answer has a perfect recall that no good model reaches.
        settings = replace(settings, max_recall_drop=1.0)
    return arguments, settings


def _warnings(split: Split, scored: Mapping[str, Scored]) -> tuple[str, ...]:
    """What makes the comparison less fair than it looks."""
    return tuple(
        f"the test photos are stored with a long side of {split.stored_side} pixels, the {name} sees "
        f"{model.description['image_size']}: it works on enlarged photos"
        for name, model in scored.items()
        if model.description["image_size"] > split.stored_side
    )


def _write(directory: Path, evaluation: Evaluation) -> None:
    from tally.evaluation.report import write_page  # matplotlib takes a second: not for --help or a refused input

    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_predictions(directory / "predictions.csv", evaluation.split, evaluation.scored)
        write_page(directory / "evaluation.html", evaluation)
        text = json.dumps(evaluation.as_dict(), indent=1, allow_nan=False)
        (directory / "evaluation.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise TallyError(f"cannot write the evaluation to {directory}: {error}") from error
