"""Copies the HTML reports of a run's jobs to one place."""

import re
import tarfile
from pathlib import Path
from typing import Any

from local.journal import ExecutionRecord
from local.s3uri import S3Uri

_OF_OUTPUTS = (
    ("data", "Preprocess", "report", "report"),
    ("evaluation", "Evaluate", "evaluation", "evaluation"),
    ("drift", "Evaluate", "evaluation", "drift"),
)
"""Report, step, output of the step, and page in it: PAGE.html, or one of each instance, PAGE-00000-of-00002.html."""

_OF_MODELS = (("training", "Train", "report/training.html"), ("labels", "TrainBaseline", "report/labels.html"))
"""Report, step, and page in the step's model."""

_ORDER = ("data", "labels", "training", "evaluation", "drift")


def collect_reports(s3: Any, record: ExecutionRecord, build: Path) -> dict[str, Path]:
    """Return report name -> path relative to `build`, for every report that this execution has.

    Of pages of several instances each has a name of its own, such as data-00000-of-00002.
    """
    folder = build / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.html"):
        old.unlink()
    found = set()
    for name, step, output, page in _OF_OUTPUTS:
        for part, address in _parts(s3, output_uri(record, step, output), page).items():
            s3.download_file(address.bucket, address.key, str(folder / f"{name}{part}.html"))
            found.add(f"{name}{part}")
    for name, step, page in _OF_MODELS:
        if (model := model_uri(record, step)) and _page_of_model(s3, model, page, folder / f"{name}.html"):
            found.add(name)
    ordered = sorted(found, key=lambda name: (_ORDER.index(name.partition("-")[0]), name))
    return {name: Path("reports") / f"{name}.html" for name in ordered}


def output_uri(record: ExecutionRecord, step: str, output: str) -> str | None:
    """Where a processing step's output lies, or None when the step did not succeed."""
    found = record.steps.get(step)
    outputs = found.outputs.get("ProcessingOutputConfig", {}).get("Outputs", []) if found else []
    return next((item["S3Output"]["S3Uri"] for item in outputs if item["OutputName"] == output), None)


def model_uri(record: ExecutionRecord, step: str) -> str | None:
    """Where a training step's model.tar.gz lies, or None when the step did not succeed."""
    found = record.steps.get(step)
    return found.outputs.get("ModelArtifacts", {}).get("S3ModelArtifacts") if found else None


def _parts(s3: Any, uri: str | None, page: str) -> dict[str, S3Uri]:
    """What names each instance's page, nothing where there is one, -> where it lies."""
    if uri is None:
        return {}
    folder = S3Uri.parse(uri)
    start = folder.child(page)
    listed = s3.list_objects_v2(Bucket=start.bucket, Prefix=start.key).get("Contents", [])  # a few of each instance
    names = (re.fullmatch(rf"{page}((?:-\d+-of-\d+)?)\.html", folder.relative(item["Key"]) or "") for item in listed)
    return {name[1]: folder.child(name[0]) for name in names if name}


def _page_of_model(s3: Any, model: str, name: str, target: Path) -> bool:
    archive = target.with_name("model.tar.gz")
    source = S3Uri.parse(model)
    s3.download_file(source.bucket, source.key, str(archive))
    with tarfile.open(archive, "r:gz") as tar:
        page = tar.extractfile(name) if name in tar.getnames() else None
        if page is not None:
            target.write_bytes(page.read())
    archive.unlink()
    return page is not None
