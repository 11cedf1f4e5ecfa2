"""The journal of an execution: what a watcher sees while it runs, and after it."""

import threading
import time

import pytest

from local.errors import LocalError
from local.events import Event
from local.execution import Execution, StepRecord
from local.journal import ExecutionRecord, JournalWriter, StepOutcome, follow, read_record
from local.steps.base import ExecutionInfo


def execution(**statuses: str) -> Execution:
    types = {"Refused": "Fail"}
    steps = {name: StepRecord(name, types.get(name, "Processing"), status) for name, status in statuses.items()}
    return Execution(ExecutionInfo("tally", "abc", time.time()), {"Epochs": 3}, steps)


def test_a_watcher_hears_every_event_in_order_and_ends_with_the_execution(tmp_path):
    writer = JournalWriter(tmp_path / "abc")
    events = [
        Event("started", "Train"),
        Event("progress", "Train", "epoch=0 ü"),
        Event("succeeded", "Train", seconds=1.5),
    ]
    heard: list[Event] = []
    watcher = threading.Thread(target=lambda: heard.extend(follow(tmp_path / "abc")))
    watcher.start()
    for event in events:
        writer.listen(event)
        time.sleep(0.05)
    assert read_record(tmp_path / "abc") is None
    assert watcher.is_alive()
    done = execution(Train="Succeeded")
    done.finish("Succeeded", None)
    writer.close(done)
    watcher.join(10)
    assert not watcher.is_alive()
    assert heard == events
    assert list(follow(tmp_path / "abc")) == events  # a late watcher hears the same


def test_the_record_carries_what_the_summary_needs(tmp_path):
    running = execution(Train="Executing", Evaluate="Waiting")
    running.steps["Train"].started = time.time() - 2
    running.steps["Train"].end("Failed", reason="exit code 1", outputs={"A": {"B": 1}}, peak_mb=12.5)
    running.finish("Failed", "step Train: exit code 1")
    JournalWriter(tmp_path).close(running)
    record = read_record(tmp_path)
    assert record is not None
    assert (record.execution_id, record.status, record.reason) == ("abc", "Failed", "step Train: exit code 1")
    assert record.parameters == {"Epochs": 3}
    train = record.steps["Train"]
    assert (train.status, train.reason, train.outputs, train.peak_mb) == (
        "Failed",
        "exit code 1",
        {"A": {"B": 1}},
        12.5,
    )
    assert train.seconds == pytest.approx(2, abs=1)
    assert record.steps["Evaluate"].seconds is None


def test_a_watcher_does_not_wait_for_a_writer_that_is_gone(tmp_path):
    JournalWriter(tmp_path).listen(Event("started", "Train"))

    def gone() -> None:
        raise LocalError("the emulator has ended")

    watcher = follow(tmp_path, gone)
    assert next(watcher) == Event("started", "Train")
    with pytest.raises(LocalError, match="has ended"):
        next(watcher)


@pytest.mark.parametrize(
    ("status", "steps", "outcome"),
    [
        ("Succeeded", {"Train": "Succeeded"}, "succeeded"),
        ("Stopped", {"Train": "Stopped"}, "stopped"),
        ("Failed", {"Train": "Succeeded", "Refused": "Failed"}, "refused"),
        ("Failed", {"Train": "Failed", "Refused": "NotReached"}, "failed"),
        ("Failed", {"Train": "Failed", "Refused": "Failed"}, "failed"),
        ("Failed", {}, "failed"),
    ],
)
def test_only_the_pipelines_own_no_counts_as_refused(status, steps, outcome):
    kinds = {name: "Fail" if name == "Refused" else "Training" for name in steps}
    outcomes = {name: StepOutcome(kinds[name], state, None, False, None, None, {}) for name, state in steps.items()}
    assert ExecutionRecord("x", status, None, {}, outcomes).outcome == outcome
