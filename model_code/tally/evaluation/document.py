"""evaluation.json and predictions.csv: what the evaluation leaves for programs."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally.data.shards import Split
from tally.evaluation.assessment import Assessment
from tally.evaluation.deliveries import Drift
from tally.evaluation.monitor import registry_metrics
from tally.evaluation.scoring import Scored, Truth
from tally.evaluation.sources import SourceCheck
from tally.gate import Pairs, Verdict
from tally.labels import COUNTS


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found out; `assessments` by name: the three models, then the baselines without pixels."""

    split: Split
    truth: Truth
    scored: Mapping[str, Scored]
    assessments: Mapping[str, Assessment]
    verdict: Verdict
    pairs: Pairs
    sources: SourceCheck
    split_check: Mapping[str, str]
    drift: Drift
    champion_name: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What evaluation.json holds."""
        challenger = self.assessments["challenger"]
        summary = self.verdict.summary(
            test_sha256=self.split.sha256, champion=self.champion_name[:256], challenger_model=challenger.model
        )
        return {
            "version": 0,
            "multiclass_classification_metrics": registry_metrics(challenger.matrix, challenger.replicates),
            "models": {name: assessment.as_dict() for name, assessment in self.assessments.items()},
            "test": {"sha256": self.split.sha256, "photos": len(self.split), "groups": self.verdict.groups},
            "champion_name": self.champion_name,
            "gate": self.verdict.as_dict() | {"summary": summary},
            "groups": group_table(self.pairs),
            "sources": self.sources.as_dict(),
            "split_check": dict(self.split_check),
            "drift": self.drift.as_dict(),
            "warnings": list(self.warnings),
        }


def group_table(pairs: Pairs) -> dict[str, int]:
    """Groups by who is right on more of their photos; `same`: both are right on the very same ones."""
    differences, discordant = pairs.differences, pairs.b + pairs.c
    return {
        "challenger_better": int((differences > 0).sum()),
        "champion_better": int((differences < 0).sum()),
        "even": int(((differences == 0) & (discordant > 0)).sum()),
        "same": int((discordant == 0).sum()),
    }


def write_predictions(path: Path, split: Split, models: Mapping[str, Scored]) -> None:
    """One row a photo, sorted by id: what is true, and each model's count, confidence and probabilities."""
    columns = ["id", "group", "source", "count"]
    for name in models:
        columns += [f"{name}_count", f"{name}_confidence", *(f"{name}_p{count}" for count in COUNTS)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for index, photo in enumerate(split.photos):
            row: list[str | int] = [photo.id, photo.group, photo.source, photo.count]
            for scored in models.values():
                found = scored.probabilities[index]
                row += [COUNTS[int(found.argmax())], f"{found.max():.6f}", *(f"{value:.6f}" for value in found)]
            writer.writerow(row)
