"""The benchmarks run, in short, and end as their bounds say. Real figures come from `make bench` on a quiet machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]


def bench(name: str, out: Path, *options: str) -> tuple[int, str, Any]:
    """Run a benchmark: exit code, what it printed, what it wrote."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(out), *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout, json.loads((out / f"{name}.json").read_text())


def test_the_handler_adds_little_to_fetch_and_model(tmp_path: Path) -> None:
    code, printed, result = bench("api_overhead", tmp_path, "--rounds", "25", "--bound", "100")
    assert code == 0
    assert [row["kind"] for row in result["rows"]] == ["url", "s3", "body"]
    for row in result["rows"]:
        assert row["bare"] > 0
        assert row["handler"] > 0
        # Ten times the bound of `make bench`: other tests share these cores.
        assert row["overhead"] < 50
        assert row["low"] <= row["overhead"] <= row["high"]
    assert machine.line(result["machine"]) in printed.splitlines()[0]
    assert printed == (tmp_path / "api_overhead.md").read_text()


def test_an_overhead_above_the_bound_ends_with_1(tmp_path: Path) -> None:
    code, printed, _ = bench("api_overhead", tmp_path, "--rounds", "5", "--bound=-1000")
    assert code == 1
    assert "wrong: url, s3, body cost more than -1000 ms" in printed


def test_a_photo_of_5_mb_takes_less_than_128_mib_of_memory(tmp_path: Path) -> None:
    code, _, result = bench("api_memory", tmp_path)
    assert code == 0
    rows = {row["kind"]: row for row in result["rows"]}
    assert {kind: row["bytes"] for kind, row in rows.items()} == {
        "url": 5_000_000,
        "s3": 5_000_000,
        "body": 4 * 1024 * 1024,
        "16 by url": 80_000_000,
    }
    for row in rows.values():
        assert row["mib"] > row["bytes"] / 16 / 2**20  # a photo at least, or nothing was measured
        assert row["mib"] < 128 or not row["bounded"]


def test_memory_above_the_bound_ends_with_1(tmp_path: Path) -> None:
    code, printed, _ = bench("api_memory", tmp_path, "--size", "100000", "--bound", "1")
    assert code == 1
    assert "wrong: url, s3, body took 1 MiB or more" in printed


@pytest.mark.parametrize("member", ["processor", "cpus", "memory_gib", "system", "python"])
def test_the_machine_is_named(member: str) -> None:
    found = machine.describe()
    assert str(found[member]) in machine.line(found)
