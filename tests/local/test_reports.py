"""The reports of an execution's jobs in one folder."""

import pytest

from local.journal import ExecutionRecord, StepOutcome
from local.reports import collect_reports


def outputs(**addresses: str) -> StepOutcome:
    """A processing step that left these outputs."""
    items = [{"OutputName": name, "S3Output": {"S3Uri": uri}} for name, uri in addresses.items()]
    described = {"ProcessingOutputConfig": {"Outputs": items}}
    return StepOutcome("Processing", "Succeeded", 1.0, False, None, None, described)


RECORD = ExecutionRecord(
    "abc",
    "Succeeded",
    None,
    {},
    {
        "Preprocess": outputs(report="s3://artifacts/executions/abc/Preprocess/report"),
        "Evaluate": outputs(evaluation="s3://artifacts/executions/abc/Evaluate/evaluation"),
    },
)
DATA = "s3://artifacts/executions/abc/Preprocess/report"
EVALUATION = "s3://artifacts/executions/abc/Evaluate/evaluation"


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ([""], ["data"]),
        (["-00000-of-00002", "-00001-of-00002"], ["data-00000-of-00002", "data-00001-of-00002"]),
    ],
    ids=["one instance", "two instances"],
)
def test_every_instance_has_its_page_of_the_data(cloud, put, tmp_path, parts, names):
    for part in parts:
        put(f"{DATA}/report{part}.html", f"data{part}".encode())
        put(f"{DATA}/report{part}.json")
    put(f"{EVALUATION}/evaluation.html", b"verdict")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/data-of-an-earlier-run.html").touch()
    found = collect_reports(cloud.clients.s3, RECORD, tmp_path)
    assert list(found) == [*names, "evaluation"]
    for name, part in zip(names, parts, strict=True):
        assert (tmp_path / found[name]).read_text() == f"data{part}"
    assert (tmp_path / found["evaluation"]).read_text() == "verdict"
    assert {path.stem for path in (tmp_path / "reports").iterdir()} == set(found)


def test_an_execution_without_reports_has_none(cloud, tmp_path):
    assert collect_reports(cloud.clients.s3, RECORD, tmp_path) == {}
