"""How long more photos on more instances take: arithmetic, and what a run says of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tally.data.preprocess import PreprocessSettings
from tally.data.projection import INSTANCES, PUBLIC_PHOTOS, Pace, project, sentences
from tally.errors import TallyError

Prepare = Callable[..., Any]


def test_what_is_shared_is_divided_and_what_every_instance_does_is_not() -> None:
    pace = Pace.of(1000, everywhere=2.0, shared=16.0, parts=1)
    assert pace.hours(1_000_000, 1) == pytest.approx(18_000 / 3600)
    assert pace.hours(1_000_000, 8) == pytest.approx(4_000 / 3600)


def test_one_of_two_instances_knows_what_one_alone_would() -> None:
    """Each lists all photos and prepares its half."""
    alone, half = Pace.of(1000, 2.0, 16.0, 1), Pace.of(1000, 2.0, 8.0, 2)
    assert alone == half


def test_time_is_linear_in_photos() -> None:
    pace = Pace.of(700, 0.3, 4.0, 1)
    assert pace.hours(PUBLIC_PHOTOS, 4) == pytest.approx(PUBLIC_PHOTOS * pace.hours(1, 4))


def test_the_cost_is_of_all_instances_together() -> None:
    rows = list(project(Pace(0.0, 0.0072), [500_000], price=0.5))
    assert [row.instances for row in rows] == list(INSTANCES)
    assert [row.instance_hours for row in rows] == pytest.approx([1.0] * 4)
    assert [row.cost for row in rows] == pytest.approx([0.5] * 4)
    assert rows[1].photos_per_second == pytest.approx(2 / 0.0072)
    assert list(sentences(rows)) == [
        "projection: 500,000 photos like these take hours 1 on 1, 0.5 on 2, 0.25 on 4, 0.125 on 8 instances; "
        "cost 0.5, 0.5, 0.5, 0.5"
    ]


def test_without_a_price_there_are_hours_and_no_cost() -> None:
    rows = list(project(Pace(0.0, 0.0072), [500_000], price=None))
    assert {row.cost for row in rows} == {None}
    assert "cost" not in next(sentences(rows))


@pytest.mark.parametrize("price", ["0", "-1", "nan", "inf", "10001"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    with pytest.raises(TallyError, match=rf"--instance-price is {price}; it must be above 0 and at most 10000"):
        PreprocessSettings.parse([f"--instance-price={price}"])


def test_a_run_says_it_of_its_own_photos_and_of_the_public_ones(
    raw: Any, prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = prepare(raw.root)
    rows = outcome.report["projection"]
    assert [(row["photos"], row["instances"]) for row in rows] == [
        (number, instances) for number in (40, PUBLIC_PHOTOS) for instances in INSTANCES
    ]
    printed = capsys.readouterr().out
    assert "projection: 535,000 photos like these take hours " in printed
    assert "cost: hours x instances x the price of an hour, which --instance-price gives" in printed
    page = (outcome.paths.processing_output("report") / "report.html").read_text()
    assert "<td>535,000</td><td>8</td>" in page
    assert "<th>cost</th>" not in page


def test_a_run_with_a_price_says_the_cost_and_writes_the_same_shards(
    raw: Any, prepare: Prepare, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, priced = prepare(raw.root), prepare(raw.root, "--instance-price", "0.46", into="priced")
    row = priced.report["projection"][-1]
    assert row["cost"] == pytest.approx(0.46 * row["instance_hours"])
    printed = capsys.readouterr().out
    assert "; cost " in printed
    page = (priced.paths.processing_output("report") / "report.html").read_text()
    assert "<th>cost</th>" in page

    def hashed(outcome: Any) -> dict[str, bytes]:
        sides = [outcome.paths.processing_output(side) for side in ("train", "validation", "test")]
        return {f"{side.name}/{file.name}": file.read_bytes() for side in sides for file in side.iterdir()}

    assert hashed(plain) == hashed(priced)  # what was measured is in none of them
    assert json.loads(hashed(plain)["test/part-00000-of-00001.json"])["photos"] == 4
