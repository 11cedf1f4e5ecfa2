"""The model card of the challenger, in the model package model card schema of SageMaker.

Schema: SageMaker developer guide, "Update the Details of a Model Version", "Model package model card schema". It is
written here and not in the pipeline because only here all figures are known; Register takes the finished text out of
evaluation.json (docs/adr/0017-the-card-is-a-string-of-the-evaluation.md).
"""

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally.data.association import tell_tale_sources
from tally.evaluation.card_metrics import cut, evaluation_detail, given, is_number, listed
from tally.labels import COUNTS

Json = Mapping[str, Any]

_VALIDATION = ("validation_accuracy", "validation_macro_f1", "validation_rmse", "validation_loss")
_CALIBRATION = ("ece_before", "ece_tempered", "ece_after")
_MOST_RECORD_BYTES = 64 * 1024 * 1024

_INTENDED = {
    "purpose_of_model": "Counts the objects in a photo of one warehouse bin.",
    "intended_uses": (
        "Finding bins whose content differs from the records, so that a person looks at them. "
        "Photos of one bin that holds 1 to 5 objects."
    ),
    "factors_affecting_model_efficiency": (
        "Hidden and stacked objects, tape and reflections, blur, photos below the trained size, "
        "bins that are empty or hold more than 5 objects: the model always answers a number from 1 to 5."
    ),
    "risk_rating": "Low",
    "explanations_for_risk_rating": "A wrong count costs one needless look into a bin, or misses one discrepancy.",
}
_BUSINESS = {
    "business_problem": "Inventory records drift from what lies in the bins.",
    "business_stakeholders": "Stock keepers who check bins, and whoever answers for the records.",
    "line_of_business": "Warehousing",
}
_CEILING = (
    "Objects hide each other and labels come from records of picks: published models of such photos end at 52 to 56% "
    "accuracy on all of the public data. Judge the confidence together with the count."
)


@dataclass(frozen=True)
class Jobs:
    """What is known of the jobs behind an evaluation; None where nobody told."""

    training_arn: str | None = None
    training_image: str | None = None
    training_data: str | None = None
    evaluation_arn: str | None = None
    model_uri: str | None = None
    test_uri: str | None = None

    @classmethod
    def read(cls, config: Path, **told: str | None) -> "Jobs":
        """Add to what the command was told what SageMaker says of this job in `processingjobconfig.json`."""
        try:
            job = json.loads((config / "processingjobconfig.json").read_text(encoding="utf-8"))
            inputs = {item["InputName"]: item["S3Input"]["S3Uri"] for item in job.get("ProcessingInputs") or []}
            return cls(
                evaluation_arn=job.get("ProcessingJobArn"),
                model_uri=inputs.get("challenger"),
                test_uri=inputs.get("test"),
                **told,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(**told)  # run by hand, or laid out differently: a card says less, and the verdict is the same


def read_training(archive: Path) -> Json:
    """training.json of a model.tar.gz; empty when it has none: figures of training are then left out."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.isreg() and member.name.removeprefix("./") == "training.json":
                    content = tar.extractfile(member) if member.size <= _MOST_RECORD_BYTES else None
                    found = json.loads(content.read()) if content else None
                    return found if isinstance(found, dict) else {}
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError):
        pass
    return {}


def card_text(document: Json, description: Json, training: Json, jobs: Jobs) -> str:
    """ModelCardContent: the card as JSON in ASCII on one line, as the API's pattern `.*` wants it.

    `document` is what evaluation.json holds, `description` the challenger's model.json, `training` its training.json.
    """
    card = {
        "model_overview": given(
            model_creator=f"Tally, commit {description.get('git_commit', 'unknown')}",
            model_artifact=listed(jobs.model_uri),
        ),
        "intended_uses": _INTENDED,
        "business_details": _BUSINESS,
        "training_details": _training(document, description, training, jobs),
        "evaluation_details": [
            evaluation_detail(name, document, jobs.test_uri, jobs.evaluation_arn) for name in document["models"]
        ],
        "additional_information": {
            "caveats_and_recommendations": cut(" ".join(_caveats(document, description)), 2048),
            "custom_details": _custom(document, description),
        },
    }
    return json.dumps(card, allow_nan=False, separators=(",", ":"))


def _training(document: Json, description: Json, training: Json, jobs: Jobs) -> Json:
    settings: Json = description.get("settings", {})
    photos = description.get("photos", {})
    calibration = document["models"]["challenger"]["calibration"] or {}
    kept, metrics = _kept(settings, training)
    metrics += [(f"calibration: {name}", calibration.get(name)) for name in _CALIBRATION]
    observations = (
        f"{photos.get('train', '?')} training and {photos.get('validation', '?')} validation photos, split by bin. "
        f"{kept} Confidence is scaled by a temperature and a bias for each answer and by a curve, all fitted on the "
        "validation photos. "
        f"SHA-256 of the training photos {description.get('train_sha256', 'unknown')}, of the validation photos "
        f"{description.get('validation_sha256', 'unknown')}."
    )
    return {
        "objective_function": {
            "function": {"function": "Minimize", "facet": "loss", "condition": "training photos"},
            "notes": (
                "Cross-entropy over the counts 1 to 5, softened towards neighbouring counts by "
                f"{settings.get('softening', 0)}, with weight {settings.get('emd', 0)} of the squared earth mover's "
                f"distance. {_steps(settings)}Epochs and searched hyperparameters were chosen by validation accuracy."
            ),
        },
        "training_observations": cut(observations, 1024),
        "training_job_details": given(
            training_arn=jobs.training_arn,
            training_datasets=listed(jobs.training_data),
            training_environment=given(container_image=listed(jobs.training_image)),
            user_provided_training_metrics=[{"name": name, "value": v} for name, v in metrics if is_number(v)],
            user_provided_hyper_parameters=[
                {"name": name, "value": cut(str(value), 255)} for name, value in sorted(settings.items()) if str(value)
            ][:100],
        ),
    }


def _kept(settings: Json, training: Json) -> tuple[str, list[tuple[str, Any]]]:
    """Which weights the model has, in words, and their figures on validation."""
    history, best, ensemble = training.get("history") or [], training.get("best_epoch", -1), training.get("ensemble")
    epochs = len(history) or settings.get("epochs", "?")
    by_epoch = [(f"best epoch: {name}", history[best].get(name)) for name in _VALIDATION if 0 <= best < len(history)]
    usual = "the last epoch at most a standard error less accurate on validation than the most accurate one was kept"
    if not ensemble:
        return f"{epochs} epochs; {usual}.", by_epoch
    words = f"An ensemble of {len(ensemble['members'])} networks, the mean of their logits; of each {usual}."
    return words, [
        (f"ensemble: {name}", ensemble["together"].get(name.removeprefix("validation_"))) for name in _VALIDATION
    ]


def _steps(settings: Json) -> str:
    """What differs from plain steps with photos as they come and from what the loss says."""
    ways = ["Every count came equally often."] if settings.get("sampling") == "balanced" else []
    if settings.get("mixup"):
        ways.append(f"Every second batch was of photos laid over each other (mixup, alpha {settings['mixup']}).")
    softened = settings.get("softening") or settings.get("label_smoothing")
    if softened and settings.get("weights", "none") != "none":
        ways.append("Answers are turned back from softened labels into probabilities of counts.")
    if settings.get("sam"):
        ways.append(f"Steps were sharpness-aware (SAM, radius {settings['sam']}).")
    return "".join(f"{way} " for way in ways)


def _caveats(document: Json, description: Json) -> Iterator[str]:
    """What a user of the model should know, from these figures."""
    rows: Sequence[Json] = list(document["models"]["challenger"]["per_class"].values())
    worst = min((row for row in rows if row["photos"]), key=lambda row: row["recall"])
    yield f"Weakest on {worst['count']} objects: recall {worst['recall']:.2f} on {worst['photos']} test photos."
    by_source: Json = description.get("counts_by_source") or {}
    origins = {
        (source, count): photos
        for source, counts in by_source.items()
        for count, photos in zip(COUNTS, counts, strict=True)
    }
    for found in tell_tale_sources(origins):
        yield (
            f"Of the {found.total} training photos with {found.count} objects {found.photos} are from one source "
            f"({cut(found.source, 60)}), which has {100 * found.overall:.0f}% of all: that count may be recognised by "
            "its source."
        )
    yield _CEILING
    yield "Photos of one bin lie on one side of the split; photos of other warehouses were not tested."


def _precision(description: Json) -> str:
    """What the model computes in, and why, where there was a choice."""
    reason = (description.get("low_precision") or {}).get("reason")
    return str(description.get("precision", "fp32")) + (f": {reason}" if reason else "")


def _custom(document: Json, description: Json) -> Json:
    found = {name: f"{version}" for name, version in (description.get("versions") or {}).items()}
    found |= {key: str(description[key]) for key in ("backbone", "image_size", "training_job") if key in description}
    found["precision"] = _precision(description)
    automation = document["models"]["challenger"].get("automation", {}).get("targets", {}).get("0.95")
    if automation:
        proven = automation.get("proven")
        found["automation at 95% precision"] = (
            f"{100 * proven['share']:.1f}% of bins from confidence {proven['threshold']:.3f}; people check the rest"
            if proven
            else "none: on these test photos no threshold of confidence surely has 95% precision"
        )
    return {cut(name, 255): cut(text, 1024) for name, text in found.items()}
