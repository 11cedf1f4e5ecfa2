"""Records of trials: written by real trials, found in SageMaker's archives, and what the report makes of them."""

import io
import json
import signal
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tally.importance import FEWEST_TRIALS, importances, varied
from tally.settings import TrainingSettings
from tally.trials import TRIAL_FILE, Trial, TrialRecord, Trials, read_trials
from tally.trials_report import view_trials
from tests.model_code.jobs import Job, configure, make_channels

TRIAL = {"_tuning_objective_metric": "best_validation_accuracy"}


def make(job: str, objective: float | None = 0.4, ended: str = "completed", **settings: object) -> Trial:
    values = TrainingSettings().as_dict() | settings
    return Trial(job, values, objective, epochs=4, seconds=90.0, ended=ended, wrote=float(len(job)))


def pack(directory: Path, job: str, content: bytes, name: str = TRIAL_FILE) -> Path:
    """An archive where SageMaker puts it: JOB/output/output.tar.gz."""
    archive = directory / job / "output" / "output.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return archive


def put(directory: Path, trial: Trial) -> None:
    pack(directory, trial.job, json.dumps(asdict(trial)).encode())


@pytest.mark.parametrize("name", [TRIAL_FILE, f"./{TRIAL_FILE}"])
def test_trials_are_found_where_sagemaker_puts_them_best_first(tmp_path: Path, name: str) -> None:
    trials = [make("search-001-a", 0.3), make("search-002-b", None, "failed: no photo"), make("search-003-c", 0.5)]
    for trial in trials:
        pack(tmp_path, trial.job, json.dumps(asdict(trial)).encode(), name)
    found = read_trials(tmp_path)
    assert [trial.job for trial in found.found] == ["search-003-c", "search-001-a", "search-002-b"]
    assert found.found[0] == trials[2]
    assert found.unread == ()


def test_no_channel_and_an_empty_one_are_no_trials(tmp_path: Path) -> None:
    assert read_trials(tmp_path) == read_trials(tmp_path / "trials") == Trials(())
    assert view_trials(Trials(())) is None


def test_what_cannot_be_read_is_named_and_costs_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, make("good"))
    pack(tmp_path, "empty", b"{}", "metrics.jsonl")
    pack(tmp_path, "huge", b" " * (2**20 + 1))
    pack(tmp_path, "nonsense", b"[1]")
    pack(tmp_path, "text", json.dumps(asdict(make("text")) | {"settings": "lr=1"}).encode())
    damaged = pack(tmp_path, "torn", json.dumps(asdict(make("torn"))).encode() * 50)
    damaged.write_bytes(damaged.read_bytes()[:60])
    with tarfile.open(tmp_path / "good" / "output" / "model.tar.gz", "w:gz"):
        pass  # a trial's empty model lies beside and is none of ours
    found = read_trials(tmp_path)
    assert [trial.job for trial in found.found] == ["good"]
    assert [text.partition("/")[0] for text in found.unread] == ["empty", "huge", "nonsense", "text", "torn"]
    assert "holds no trial.json" in found.unread[0]
    view = view_trials(found)
    assert view is not None
    assert len(view.unread) == 5


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(asdict(make("secret"))))
    archive = tmp_path / "channel" / "job" / "output" / "output.tar.gz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(TRIAL_FILE)
        entry.type, entry.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(entry)
    assert read_trials(tmp_path / "channel").found == ()


def test_a_record_tells_how_far_a_trial_came_whatever_ends_it(tmp_path: Path) -> None:
    class Epoch:
        seconds, best_validation_accuracy = 30.0, 0.375

    def read() -> tuple[str, int, float | None]:
        values = json.loads((tmp_path / TRIAL_FILE).read_text())
        return values["ended"], values["epochs"], values["objective"]

    record = TrialRecord(tmp_path / TRIAL_FILE, TrainingSettings())
    assert read() == ("broken off", 0, None)
    record.add(Epoch())
    record.add(Epoch())
    assert read() == ("broken off", 2, 0.375)
    record.stopped()
    assert read() == ("stopped", 2, 0.375)
    record.completed()
    assert read() == ("completed", 2, 0.375)


def test_a_trial_leaves_its_record(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=2, lr=0.001, **TRIAL)
    with Job([tmp_path], {"TRAINING_JOB_NAME": "search-001"}) as job:
        codes, outputs = job.finish(600)
    assert codes == [0], outputs
    record = json.loads((tmp_path / "output" / "data" / TRIAL_FILE).read_text())
    last = json.loads((tmp_path / "output" / "data" / "metrics.jsonl").read_text().splitlines()[-1])
    assert (record["job"], record["ended"], record["epochs"]) == ("search-001", "completed", 2)
    assert record["objective"] == last["best_validation_accuracy"]
    assert record["settings"]["lr"] == 0.001


def test_a_trial_that_is_stopped_says_so(tmp_path: Path) -> None:
    make_channels(tmp_path)
    configure(tmp_path, epochs=500, **TRIAL)
    with Job([tmp_path]) as job:
        job.wait_for_epoch()
        job.processes[0].send_signal(signal.SIGTERM)
        assert job.finish(600)[0] == [128 + signal.SIGTERM]
    record = json.loads((tmp_path / "output" / "data" / TRIAL_FILE).read_text())
    assert record["ended"] == "stopped"
    assert record["epochs"] >= 1


def searched(trials: int, seed: int = 0, effect: float = 0.06, noise: float = 0.005) -> list[Trial]:
    """Trials whose objective depends on the rate alone; effect 0: on nothing."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(trials):
        lr = float(10 ** generator.uniform(-5, -2.5))
        objective = 0.45 - effect * (np.log10(lr) + 3.3) ** 2 + generator.normal(0, noise)
        batch, freeze = int(generator.choice([32, 64])), str(generator.choice(["none", "backbone"]))
        found.append(make(f"t{number:02d}", float(objective), lr=lr, batch_size=batch, freeze=freeze))
    return found


def test_what_differs_between_trials_was_searched() -> None:
    assert varied(searched(12)) == ("freeze", "batch_size", "lr")
    assert varied([make("one")]) == varied([]) == ()


def test_what_decides_stands_out_and_shares_add_up_to_one() -> None:
    found = importances(searched(12), rounds=12)
    assert found == importances(searched(12), rounds=12)
    assert found[0].name == "lr"
    assert found[0].stands_out
    assert [item.name for item in found if item.stands_out] == ["lr"]
    assert sum(item.share for item in found) == pytest.approx(1)
    assert all(0 <= item.low <= item.high <= 1 for item in found)


def test_too_few_trials_and_equal_results_give_no_importance() -> None:
    assert importances(searched(FEWEST_TRIALS - 1)) == []
    assert importances([replace(trial, objective=0.4) for trial in searched(8)]) == []
    assert importances([make(f"t{number}", number / 10) for number in range(8)]) == []  # nothing was searched


def test_the_view_shows_every_trial_with_how_it_ended() -> None:
    trials = [*searched(6), make("late", 0.1, "stopped", lr=0.1), make("bad", None, "failed: <b>", lr=1.0)]
    view = view_trials(Trials(tuple(trials)), rounds=2)
    assert view is not None
    assert view.columns == (
        "trial",
        "validation accuracy",
        "ended",
        "epochs",
        "minutes",
        "freeze",
        "batch_size",
        "lr",
    )
    assert [row[2] for row in view.rows] == ["completed"] * 6 + ["stopped", "failed: <b>"]
    assert view.rows[-1][1] == "–"
    assert (view.judged, view.cut_short) == (7, 1)
    assert len(view.scatters) == 3
    for drawing in (view.progress, view.importance_chart, *view.scatters):
        assert drawing is not None
        assert "<svg" in drawing
        assert "validation accuracy, share" in drawing or "share of the explained variance" in drawing


def test_the_training_report_has_the_search_only_where_there_was_one(tmp_path: Path) -> None:
    from tally.html import _templates

    page = _templates.from_string('{% if trials %}{% include "trials.html" %}{% endif %}')
    assert page.render(trials=None).strip() == ""
    few = page.render(trials=view_trials(Trials(tuple(searched(3)))))
    assert "takes at least 6 trials" in few
    trials = (*searched(7), make("bad", None, "failed: <script>"))
    whole = page.render(trials=view_trials(Trials(trials, ("x: torn",)), rounds=2))
    assert "7 trials cannot prove importance" in whole
    assert "failed: &lt;script&gt;" in whole
    assert "x: torn" in whole
