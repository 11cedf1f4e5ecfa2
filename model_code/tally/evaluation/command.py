"""python -m tally evaluate --champion-name NAME [--alpha 0.05 ...]

Reads processing/input/{test,challenger,champion,baseline}, writes evaluation.json, predictions.csv, model_card.json,
evaluation.html and drift.html to processing/output/evaluation.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tally.data.shards import Split
from tally.errors import TallyError
from tally.evaluation.assessment import Assessment, assess, assess_answers
from tally.evaluation.bootstrap import FEWEST_GROUPS, GroupBootstrap
from tally.evaluation.card import Jobs, card_text, read_training
from tally.evaluation.deliveries import compare_deliveries
from tally.evaluation.document import Evaluation, write_predictions
from tally.evaluation.rules import Rules, learn
from tally.evaluation.scoring import Scored, Truth, latencies, score
from tally.evaluation.sources import SourceCheck, check_sources
from tally.evaluation.split_check import check_split
from tally.evaluation.unpack import unpack_model
from tally.gate import MEASURES, GateSettings, Pairs, Verdict, decide
from tally.labels import COUNTS
from tally.paths import MlPaths

MODELS = ("challenger", "champion", "baseline")
_JOBS = {
    "training_arn": "ARN of the job that trained the challenger",
    "training_image": "image that it ran in",
    "training_data": "where its training photos lie",
}
FEWEST_GROUPS_OF_A_COUNT = 20  # with 8 bins of one count the test promoted 16% of equal models in a simulation
BASELINE = "baseline"  # what FindChampion calls the champion when no model is in service


def main(argv: list[str], paths: MlPaths) -> None:
    """Evaluate the challenger and write the verdict; a refusal is a result, not an error.

    TallyError when an input is missing, damaged or of another format, a model has seen the test photos, a setting is
    out of range, or the output cannot be written.
    """
    arguments, settings = _parse(argv)
    champion = arguments.champion_name
    split = Split.open(paths.processing_input("test"))
    truth = Truth.of(split)
    with tempfile.TemporaryDirectory(prefix="tally-models-") as scratch:
        directories = {
            name: unpack_model(paths.processing_input(name) / "model.tar.gz", Path(scratch) / name) for name in MODELS
        }
        split_check, doubts = check_split(directories, split)
        drift = compare_deliveries(directories, split, champion, in_service=champion != BASELINE)
        scored = {name: score(name, directory, split) for name, directory in directories.items()}
        milliseconds = latencies(directories, split)
    bootstrap = GroupBootstrap(truth.group_numbers, arguments.seed)
    assessments = {name: assess(name, scored[name], truth, bootstrap, milliseconds[name]) for name in MODELS}
    predicted = {name: model.predicted for name, model in scored.items()}
    sources = [photo.source for photo in split.photos]
    rules = learn(scored["challenger"].description, sources, truth)
    source_check = check_sources(sources, truth, rules, predicted, bootstrap)
    verdict = decide(
        truth.true,
        predicted["champion"],
        predicted["challenger"],
        truth.groups,
        latency_ms=(milliseconds["champion"], milliseconds["challenger"]),
        settings=settings,
    )
    evaluation = Evaluation(
        split=split,
        truth=truth,
        scored=scored,
        assessments=assessments | _baselines(rules, truth, bootstrap),
        verdict=verdict,
        pairs=Pairs.of(truth.true, predicted["champion"], predicted["challenger"], truth.groups),
        sources=source_check,
        split_check=split_check,
        drift=drift,
        champion_name=champion,
        warnings=(
            *doubts,
            *_warnings(split, scored),
            *_doubts(verdict, source_check),
            *_rare(verdict, truth),
            *drift.warnings,
        ),
    )
    document = evaluation.as_dict()
    training = read_training(paths.processing_input("challenger") / "model.tar.gz")
    jobs = Jobs.read(paths.processing_config, **{name: getattr(arguments, name) for name in _JOBS})
    document["model_card"] = card_text(document, scored["challenger"].description, training, jobs)
    _write(paths.processing_output("evaluation"), evaluation, document)
    for warning in evaluation.warnings:
        print(f"warning: {warning}", flush=True)
    print(
        f"verdict={verdict.verdict} test={verdict.test} p={verdict.p_value:.6g} gain={verdict.gain:+.6f}: "
        f"{verdict.reason}",
        flush=True,
    )


def _parse(argv: list[str]) -> tuple[argparse.Namespace, GateSettings]:
    parser = argparse.ArgumentParser(prog="python -m tally evaluate", description=__doc__.split("\n\n")[1])
    defaults = GateSettings()
    help_texts = {
        "alpha": "significance level of the two-sided paired test",
        "max_macro_f1_drop": "how far macro-F1 may fall",
        "max_recall_drop": "how far the recall of any one count may fall before a significant fall breaks the guard",
        "max_rmse_increase": "how far RMSE may rise, in objects",
        "latency_budget_ms": "most milliseconds for one photo, median",
        "gain_that_matters": "gain worth a release: decides between reject and underpowered",
        "wanted_power": "chance of seeing that gain from which a test set is large enough",
    }
    for name, text in help_texts.items():
        flag, default = f"--{name.replace('_', '-')}", getattr(defaults, name)
        parser.add_argument(flag, type=float, default=default, help=f"{text} (default {default:g})")
    parser.add_argument(
        "--weighting",
        choices=sorted(MEASURES),
        default=defaults.weighting,
        help="what weighs the same in the gain: photos as they come, or counts, each together (default photos)",
    )
    parser.add_argument("--champion-name", required=True, help="who the champion is: a model package, or baseline")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    for name, text in _JOBS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"{text}, for the model card")
    arguments = parser.parse_args(argv)
    if arguments.seed < 0:
        raise TallyError(f"--seed is {arguments.seed}; it must not be negative")
    settings = GateSettings(**{name: getattr(arguments, name) for name in ("weighting", *help_texts)})
    if arguments.champion_name == BASELINE:
        # Recall guards keep what users of a model in service have. A baseline serves nobody, and one that always gives
        # the same answer has a perfect recall that no good model reaches.
        settings = replace(settings, max_recall_drop=1.0)
    return arguments, settings


def _baselines(rules: Rules, truth: Truth, bootstrap: GroupBootstrap) -> dict[str, Assessment]:
    """Assess what can be answered without looking at a photo."""
    found = {}
    for name, answers in (("majority", rules.majority), ("median", rules.median)):
        distinct = {COUNTS[answer] for answer in answers.tolist()}
        model = f"always {distinct.pop()}" if len(distinct) == 1 else f"the {name} of the other groups"
        found[name] = assess_answers(name, model, answers, truth, bootstrap)
    return found | {"source": assess_answers("source", "commonest of its source", rules.source, truth, bootstrap)}


def _doubts(verdict: Verdict, sources: SourceCheck) -> tuple[str, ...]:
    """What a reader of the verdict should know beside it."""
    found = []
    if verdict.groups < FEWEST_GROUPS:
        found.append(
            f"the test photos are of {verdict.groups} groups, fewer than {FEWEST_GROUPS}: intervals mean little, add "
            "test photos of other bins"
        )
    if sources.explained:
        low, kind = min(
            (sources.raw.interval[0], "accuracy"), (sources.balanced.interval[0], "class-balanced accuracy")
        )
        why = f"the interval of the challenger's gain over it in {kind} begins at {100 * low:+.1f} points"
        found.append(
            "the source of a photo alone could explain the accuracy: a rule that knows only the source reaches "
            f"{100 * sources.raw.alone:.1f}% (class-balanced {100 * sources.balanced.alone:.1f}%), and "
            + (why if low <= 0 else "the test set has too few groups to tell the challenger from it")
        )
    if verdict.weighting == "photos" and verdict.gain * verdict.group_gain < 0:
        found.append(
            f"over photos the gain is {100 * verdict.gain:+.1f} points, in the mean of the groups "
            f"{100 * verdict.group_gain:+.1f}: large groups and small ones differ; the gate judges photos"
        )
    return tuple(found)


def _rare(verdict: Verdict, truth: Truth) -> tuple[str, ...]:
    """Counts that weigh as much as others and are known from few bins: a loss there may go unseen (ADR 26)."""
    if verdict.weighting == "photos":
        return ()
    found = []
    for index in np.unique(truth.true):
        groups = len(np.unique(truth.group_numbers[truth.true == index]))
        if groups < FEWEST_GROUPS_OF_A_COUNT:
            found.append(f"{COUNTS[index]} has {groups} groups")
    if not found:
        return ()
    return (
        f"every count weighs alike in the gain, and {', '.join(found)}: fewer than {FEWEST_GROUPS_OF_A_COUNT}, so "
        "what the challenger loses there may not have been seen; add test photos of these counts",
    )


def _warnings(split: Split, scored: Mapping[str, Scored]) -> tuple[str, ...]:
    """What makes the comparison less fair than it looks."""
    return tuple(
        f"the test photos are stored with a long side of {split.stored_side} pixels, the {name} sees "
        f"{model.description['image_size']}: it works on enlarged photos"
        for name, model in scored.items()
        if model.description["image_size"] > split.stored_side
    )


def _write(directory: Path, evaluation: Evaluation, document: Mapping[str, Any]) -> None:
    from tally.evaluation.drift_page import write_drift_page
    from tally.evaluation.report import write_page  # matplotlib takes a second: not for --help or a refused input

    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_predictions(directory / "predictions.csv", evaluation.split, evaluation.scored)
        write_page(directory / "evaluation.html", evaluation)
        write_drift_page(directory / "drift.html", evaluation.drift, evaluation.split, evaluation.champion_name)
        text = json.dumps(document, indent=1, allow_nan=False)
        (directory / "evaluation.json").write_text(text, encoding="utf-8")
        card = json.dumps(json.loads(document["model_card"]), indent=1)  # the same for people
        (directory / "model_card.json").write_text(card + "\n", encoding="utf-8")
    except OSError as error:
        raise TallyError(f"cannot write the evaluation to {directory}: {error}") from error
