"""What a run leaves for the next one, and the contents that jobs share."""

import json

import pytest

from local.errors import LocalError, StepError
from local.jobs.inputs import Inputs, list_objects
from local.state import State

PACKAGES = [{"ModelDataUrl": "s3://artifacts/executions/e1/Train/model.tar.gz"}]


@pytest.fixture
def state(cloud, tmp_path):
    return State(tmp_path / "state", cloud.clients.s3, "artifacts")


@pytest.fixture
def forget(cloud):
    """Empty the bucket, as the end of the emulator's process does."""

    def forget_all():
        for item in list_objects(cloud.clients.s3, "s3://artifacts/"):
            cloud.clients.s3.delete_object(Bucket="artifacts", Key=item.key)

    return forget_all


def keys(cloud):
    return [item.key for item in list_objects(cloud.clients.s3, "s3://artifacts/")]


def test_what_packages_cached_steps_and_the_last_run_refer_to_comes_back(state, cloud, put, get, forget, tmp_path):
    for name in ("e1/Train/model.tar.gz", "e1/Tune/trial", "e2/Preprocess/train/shard", "e3/report", "e1/Trainer/x"):
        put(f"s3://artifacts/executions/{name}", name.encode())
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "steps.json").write_text(json.dumps({"k": "s3://artifacts/executions/e2/Preprocess/train"}))
    assert state.save("arn:1", PACKAGES, ["s3://artifacts/executions/e3/"]) == 3
    forget()
    assert state.load() == "arn:1"
    assert keys(cloud) == [
        "executions/e1/Train/model.tar.gz",
        "executions/e2/Preprocess/train/shard",
        "executions/e3/report",
    ]
    assert get("s3://artifacts/executions/e1/Train/model.tar.gz") == b"e1/Train/model.tar.gz"


def test_a_new_state_is_empty(state, cloud):
    assert state.load() is None
    assert keys(cloud) == []


def test_contents_that_nothing_refers_to_any_more_are_deleted(state, put, tmp_path):
    put("s3://artifacts/executions/e1/Train/model.tar.gz", b"one")
    put("s3://artifacts/executions/e2/x", b"two")
    assert state.save(None, PACKAGES, ["s3://artifacts/executions/e2/"]) == 2
    assert state.save(None, PACKAGES, []) == 1
    [kept] = (tmp_path / "state" / "objects").iterdir()
    assert kept.read_bytes() == b"one"


def test_a_cleared_state_is_empty(state, cloud, put, forget):
    put(PACKAGES[0]["ModelDataUrl"])
    state.save("arn:1", PACKAGES, [])
    state.clear()
    forget()
    assert state.load() is None
    assert keys(cloud) == []


def test_an_object_that_changed_is_kept_anew(state, put, get, forget):
    uri = PACKAGES[0]["ModelDataUrl"]
    for content in (b"old", b"new"):
        put(uri, content)
        state.save(None, PACKAGES, [])
    forget()
    state.load()
    assert get(uri) == b"new"


def test_a_damaged_content_is_noticed_and_named(state, put, tmp_path):
    put(PACKAGES[0]["ModelDataUrl"], b"model")
    state.save(None, PACKAGES, [])
    [kept] = (tmp_path / "state" / "objects").iterdir()
    kept.write_bytes(b"mOdel")
    with pytest.raises(LocalError, match=r"kept for s3://artifacts/executions/e1/.* is gone or damaged; .*make clean"):
        state.load()


def test_a_state_of_another_format_is_refused(state, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "objects.json").write_text('{"format": "tally-state/1", "objects": []}')
    with pytest.raises(LocalError, match="has the format 'tally-state/1', not 'tally-state/2'; start over: make clean"):
        state.load()


def test_contents_that_a_run_did_not_use_are_forgotten(cloud, tmp_path, put):
    put("s3://artifacts/a/1")
    put("s3://artifacts/b/1", b"y")
    folder = tmp_path / "cache"
    Inputs(cloud.clients.s3, folder).place("s3://artifacts/a", tmp_path / "one")
    second = Inputs(cloud.clients.s3, folder)
    second.place("s3://artifacts/b", tmp_path / "two")
    second.prune()
    assert {entry.name for entry in folder.iterdir()} == second.used


def test_a_prefix_without_objects_is_an_error_that_names_it(cloud, tmp_path):
    with pytest.raises(StepError, match="s3://raw/none/ holds no object"):
        Inputs(cloud.clients.s3, tmp_path / "cache").place("s3://raw/none/", tmp_path / "tree")


def test_an_object_that_needs_no_request_is_taken_as_it_is(cloud, tmp_path, put):
    put("s3://artifacts/a/1", b"one")
    put("s3://artifacts/a/2", b"two")
    asked = []

    def read(bucket, key, etag):
        asked.append((bucket, key, len(etag)))
        return b"ONE" if key == "a/1" else None

    Inputs(cloud.clients.s3, tmp_path / "cache", read).place("s3://artifacts/a", tmp_path / "tree")
    assert {file.name: file.read_bytes() for file in (tmp_path / "tree").iterdir()} == {"1": b"ONE", "2": b"two"}
    assert sorted(asked) == [("artifacts", "a/1", 32), ("artifacts", "a/2", 32)]
