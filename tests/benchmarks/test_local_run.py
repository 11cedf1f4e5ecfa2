"""What of a run is a job."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.errors import BenchError
from benchmarks.local_run import Seconds, divided, job_at_work, table, watched
from local.processes import MARK


def test_a_moment_belongs_to_jobs_when_one_is_at_work() -> None:
    looks = [(1.0, False), (3.0, True), (5.0, True), (6.0, False), (8.0, True), (9.0, False)]
    found = divided(0.0, looks, 11.0)
    assert found == Seconds(before=3, jobs=4, between=2, after=2)
    assert found.total == 11
    assert found.overhead == pytest.approx(7 / 11)


def test_a_job_that_lasts_to_the_end_leaves_nothing_after() -> None:
    assert divided(2.0, [(2.0, True)], 4.0) == Seconds(0, 2, 0, 0)


def test_a_run_without_jobs_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="the run had no job"):
        divided(0.0, [(0.0, False), (1.0, False)], 2.0)


def test_the_table_has_medians_with_their_range() -> None:
    rounds = [Seconds(1, 10, 0, 1), Seconds(2, 20, 0, 1), Seconds(3, 12, 0, 2)]
    assert "| before | 2.0 (1.0 to 3.0) |" in table(rounds)
    assert "| total | 17.0 (12.0 to 23.0) |" in table(rounds)


@contextmanager
def grandchild(word: str, **variables: str) -> Iterator[None]:
    """A process of a process of ours, with `word` on its command line and more variables."""
    sleeps = f"import sys, time; print(flush=True); time.sleep(60), {word!r}"
    words = f"[sys.executable, '-c', {sleeps!r}, {word!r}]"
    starts = f"import os, subprocess, sys; subprocess.run({words}, env=os.environ | {variables!r})"
    process = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        os.killpg(process.pid, 9)


@pytest.mark.parametrize(
    ("word", "variables", "at_work"),
    [("train", {MARK: "tree"}, True), ("serve", {MARK: "tree"}, False), ("train", {}, False)],
)
def test_a_job_is_a_process_that_carries_its_tree_and_serves_nobody(
    word: str, variables: dict[str, str], at_work: bool
) -> None:
    with grandchild(word, **variables):
        assert job_at_work(os.getpid()) is at_work
    assert not job_at_work(os.getpid())


def test_a_run_that_fails_says_why() -> None:
    with pytest.raises(BenchError, match=r"(?s)make run ended with 1: .*sample.photos"):
        watched(["--sample-photos", "0"])
