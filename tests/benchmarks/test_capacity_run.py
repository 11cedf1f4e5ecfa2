"""`make capacity`: what it writes and what it refuses. Its run: test_quick_run.py."""

import contextlib
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.capacity import report
from benchmarks.capacity.__main__ import _options, main
from benchmarks.capacity.findings import Findings, Question, document, find, text, write_page
from benchmarks.capacity.measure import Carried
from benchmarks.capacity.targets import Assumed
from benchmarks.capacity.windows import Window
from infra.settings import Serving
from ops import environments
from tests.model_code.jobs import MODEL_CODE

ROOT = Path(__file__).resolve().parents[2]

WRONG = {
    "--env staging": "error: environment 'staging' is not in cdk.json, which has dev, laptop, prod; choose one",
    "--budget-ms 0": "--budget-ms is 0.0; it must be at least 0.001",
    "--seconds nan": "--seconds is nan; it must be at least 0.1",
    "--surge 0.5": "--surge is 0.5; it must be at least 1",
    "--photos 1 --quick": "--photos is 1; it must be at least 2",
    "--instance-start-seconds=-1": "--instance-start-seconds is -1.0; it must be at least 0",
    "--price-per-hour inf": "--price-per-hour is inf; it must be a finite number",
    "--router nearest": "invalid choice: 'nearest'",
    "--data nowhere": "--data is nowhere; it must be a folder of JPEG files",
    "--weights nothing.pth": "--weights is nothing.pth; it must be a file of the backbone's weights",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    with contextlib.suppress(SystemExit):
        assert main([*words.split(), "--out", str(tmp_path)]) == 1
    assert WRONG[words] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_quick_changes_defaults_only() -> None:
    found = _options(["--quick", "--seconds", "3"])
    assert (found.seconds, found.photos, found.starts) == (3.0, 100, 1)


@pytest.fixture(scope="module")
def found() -> Findings:
    def window(rate: float, latency: float, failed: int = 0) -> Window:
        return Window(rate, 10.0, (latency,) * 100, failed, backlog=0, lag_ms=0.2, client_cpus=0.31, other_cpus=0.05)

    held = window(160.0, 50.0)
    windows = (window(80.0, 12.0), window(200.0, 300.0, failed=7), held)
    carried = Carried(2, (0.5, 0.4, 0.6), (10.0, 11.0), 180.0, windows, held)
    question = Question(
        environment="prod",
        present=Serving(min_instances=2, max_instances=10),
        budget_ms=500.0,
        assumed=Assumed(300.0, 0.1),
        base_rate=None,
        factor=10.0,
        minutes=(5.0, 10.0, 20.0),
        router="random",
        price_per_hour=0.1,
        seed=0,
    )
    return find(question, carried)


def test_the_text_names_what_was_measured_what_is_assumed_and_what_to_write(found: Findings) -> None:
    said = text(found, "HEAD")
    assert said.startswith("HEAD\n")
    for part in (
        "| 80.0 | 10 | 100 | 12 | 12 | ",
        "| 200.0 | 10 | 107 | 300 | 300 | ",
        "7 of 107 requests failed |",
        "carried, confirmed |",
        "one instance carries 160 requests/s: p99 50 ms of 500 ms, mean 50 ms, none failed in 10 s",
        "first answer 0.50 s after the process starts (0.40 to 0.60)",
        "at this rate 8.0 requests are at hand",
        "- other processes took at most 0.05 CPUs in a window",
        "ASSUMED, not measured: an instance serves 300 s after it is asked for",
        "kept at 56% of what it carries",
        "| invocations_per_instance | 600 | 5333 |",
        "`environments.prod.serving`",
        '"concurrent_requests_per_instance": 4,\n"scale_out_seconds": 70,\n"scale_in_seconds": 480\n',
        "SIMULATED: 88.9 requests/s for 5 min, 10 times as many for 10 min",
        "EXAMPLE price, not looked up: 0.1 an instance hour",
        "to lose nothing of it, 6 must be in service when it comes (min_instances is 2)",
    ):
        assert part in said, part


def test_a_machine_that_is_not_quiet_is_named(found: Findings) -> None:
    window = dataclasses.replace(found.carried.held, other_cpus=0.6)
    carried = dataclasses.replace(found.carried, windows=(window, found.carried.held))
    assert "NOT QUIET: other processes took up to 0.60 of the 2 CPUs: measure again" in report.capacity(carried, 500.0)


def test_answers_of_an_open_loop_count_where_busy_clients_had_fewer(found: Findings) -> None:
    many = dataclasses.replace(found.carried.held, latencies=(1.0,) * 1900)
    assert dataclasses.replace(found.carried, windows=(many,)).most == 190.0
    assert found.carried.most == 180.0


def test_the_present_settings_lose_nothing_but_cost_more_and_the_derived_ones_lose_what_comes_first(
    found: Findings,
) -> None:
    present, derived = found.outcomes.values()
    assert (present.lost, present.base_instances) == (0, 9)
    # 180/s of 889/s are carried by each of two, for 30 s until the alarm and 300 s of start.
    assert derived.lost == pytest.approx((889 - 360) * 330, rel=0.03)
    assert (derived.base_instances, derived.recovered) == (2, 6)
    assert present.base_per_million / derived.base_per_million == pytest.approx(9 / 2)
    assert derived.cost < 0.8 * present.cost


def test_the_document_has_all_figures_as_plain_data(found: Findings) -> None:
    told = json.loads(json.dumps(document(found)))
    assert told["rate"] == 160
    assert told["settings"]["derived"]["invocations_per_instance"] == 5333
    assert [one["objection"] for one in told["windows"]] == [None, "7 of 107 requests failed", None]
    assert told["surge"]["derived"]["lost"] == found.outcomes["derived"].lost
    assert len(told["instances"]["derived"]) == 35 * 6


def test_the_page_is_one_file_with_four_charts(found: Findings, tmp_path: Path) -> None:
    write_page(found, "a <head>", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 4
    for part in ("a &lt;head&gt;", "budget 500 ms", "some sent away", "capacity, derived", "lost, cdk.json, prod"):
        assert part in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', re.sub(r'xlink:href="#[^"]*"', "", page))


def test_every_setting_that_is_derived_is_taken_from_cdk_json(found: Findings) -> None:
    values = document(found)["settings"]["derived"]
    settings = environments.load("prod", {"serving": values})
    assert {key: getattr(settings.serving, key) for key in values} == values


def test_make_passes_every_option() -> None:
    words = ["DATA=it's", "BACKBONE=resnet50", "QUICK=1", "INSTANCE_START_SECONDS=200", "ENV=dev"]
    make = ["make", "--no-print-directory", "-n", "capacity", *words]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    before, _, options = done.stdout.replace("\\\n", " ").partition("benchmarks.capacity")
    assert "PYTHONPATH=model_code" in before
    given = ["--data", "it's", "--backbone", "resnet50", "--env", "dev", "--instance-start-seconds", "200", "--quick"]
    assert shlex.split(options) == given
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.capacity", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(MODEL_CODE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = re.findall(
        r"[A-Z_]+", (ROOT / "Makefile").read_text().split("CAPACITY_VARIABLES :=")[1].split("\n#")[0]
    )
    options_of_make = {f"--{name.lower().replace('_', '-')}" for name in variables} | {"--quick"}
    assert set(re.findall(r"^  (--[a-z-]+)", said, re.M)) == options_of_make
