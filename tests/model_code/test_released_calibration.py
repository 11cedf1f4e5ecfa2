"""What models say of their own calibration, as this and older releases wrote it, and what is none."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tally.evaluation.assessment import assess_answers
from tally.evaluation.bootstrap import GroupBootstrap
from tally.evaluation.scoring import Truth
from tests.model_code.evaluation_jobs import GOOD, make_job
from tests.model_code.tiny_model import description, pack, write_model

OLDER = {"temperature": 1.2, "ece_before": 0.111, "ece_after": 0.044}
NEWER = OLDER | {"ece_tempered": 0.066, "temperatures": [1, 2.5, 1, 1, 1], "biases": [0.5, 0, 0, 0, 0]}


def shown(root: Path, **calibrations: object) -> list[list[str]]:
    """Rows of the page's table where models say `calibrations` of themselves, without the error on the test photos."""
    job = make_job(root, GOOD)
    for name, channel in (("challenger", "red"), ("champion", "green")):
        directory = write_model(root / "released" / name, channel)
        (directory / "model.json").write_text(json.dumps(description() | {"calibration": calibrations[name]}), "utf-8")
        pack(directory, job.paths.processing_input(name) / "model.tar.gz")
    job.run()
    page = (job.output / "evaluation.html").read_text(encoding="utf-8")
    table = page.partition("<caption>Expected calibration error")[2].partition("</table>")[0]
    rows = [[cell.strip() for cell in re.findall("<td>(.*?)</td>", row)] for row in table.split("<tr>")[2:]]
    return [[name, *cells] for name, _, *cells in rows]


def test_the_calibration_that_any_release_wrote_is_shown(tmp_path: Path) -> None:
    assert shown(tmp_path, challenger=NEWER, champion=OLDER) == [
        ["challenger", "0.111", "0.066", "0.044", "1.00 2.50 1.00 1.00 1.00", "0.50 0.00 0.00 0.00 0.00"],
        ["champion", "0.111", "0.044", "0.044", "1.20", "–"],
    ]


def test_an_odd_calibration_breaks_neither_page_nor_document_nor_card(tmp_path: Path) -> None:
    rows = shown(tmp_path, challenger="yes", champion=NEWER | {"curve": [[math.nan, 1]]})
    assert rows[0] == ["challenger", *["–"] * 5]
    assert rows[1][:4] == ["champion", "0.111", "0.066", "0.044"]


@pytest.mark.parametrize(
    "odd",
    [
        "yes",
        OLDER | {"temperature": "1.2"},
        NEWER | {"temperatures": ["hot"]},
        NEWER | {"temperatures": [math.nan] * 5},
        NEWER | {"biases": 1},
        NEWER | {"ece_tempered": None},
    ],
)
def test_a_calibration_that_is_none_is_not_taken_for_one(odd: object) -> None:
    truth = Truth(np.arange(5), tuple("abcde"), np.arange(5))
    assessment = assess_answers("champion", "model", truth.true, truth, GroupBootstrap(truth.group_numbers, 0, 10))
    assert replace(assessment, description={"calibration": NEWER}).calibration == NEWER
    assert replace(assessment, description={"calibration": odd}).calibration is None
