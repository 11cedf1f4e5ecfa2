"""Copies the HTML reports of a run's jobs to one place."""

import tarfile
from pathlib import Path
from typing import Any

from local.journal import ExecutionRecord
from local.s3uri import S3Uri

_TRAINING_PAGE = "report/training.html"


def collect_reports(s3: Any, record: ExecutionRecord, build: Path) -> dict[str, Path]:
    """Return report name -> path relative to `build`, for every report that this execution has."""
    folder = build / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.html"):
        old.unlink()
    found = {}
    for name, step, output, page in (
        ("data", "Preprocess", "report", "report.html"),
        ("evaluation", "Evaluate", "evaluation", "evaluation.html"),
    ):
        if (uri := output_uri(record, step, output)) and _download(s3, uri, page, folder / f"{name}.html"):
            found[name] = Path("reports") / f"{name}.html"
    if (model := model_uri(record, "Train")) and _training_page(s3, model, folder):
        found["training"] = Path("reports") / "training.html"
    return {name: found[name] for name in ("data", "training", "evaluation") if name in found}


def output_uri(record: ExecutionRecord, step: str, output: str) -> str | None:
    """Where a processing step's output lies, or None when the step did not succeed."""
    found = record.steps.get(step)
    outputs = found.outputs.get("ProcessingOutputConfig", {}).get("Outputs", []) if found else []
    return next((item["S3Output"]["S3Uri"] for item in outputs if item["OutputName"] == output), None)


def model_uri(record: ExecutionRecord, step: str) -> str | None:
    """Where a training step's model.tar.gz lies, or None when the step did not succeed."""
    found = record.steps.get(step)
    return found.outputs.get("ModelArtifacts", {}).get("S3ModelArtifacts") if found else None


def _download(s3: Any, uri: str, name: str, target: Path) -> bool:
    source = S3Uri.parse(uri).child(name)
    try:
        s3.download_file(source.bucket, source.key, str(target))
    except s3.exceptions.ClientError:
        return False
    return True


def _training_page(s3: Any, model: str, folder: Path) -> bool:
    archive = folder / "model.tar.gz"
    source = S3Uri.parse(model)
    s3.download_file(source.bucket, source.key, str(archive))
    with tarfile.open(archive, "r:gz") as tar:
        page = tar.extractfile(_TRAINING_PAGE) if _TRAINING_PAGE in tar.getnames() else None
        if page is not None:
            (folder / "training.html").write_bytes(page.read())
    archive.unlink()
    return page is not None
