import os
from pathlib import Path

import pytest

from local import registry
from local.cloud import Cloud
from local.errors import LocalError
from local.jobs.inputs import Inputs, list_objects
from local.photos import upload_photos
from local.state import State

BUCKETS = ("raw", "artifacts")


def package(number: int) -> dict:
    return {
        "ModelPackageGroupName": "tally",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": "serve:1", "ModelDataUrl": f"s3://artifacts/executions/e{number}/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "CustomerMetadataProperties": {"verdict": "promote", "reason": f"number {number}"},
    }


@pytest.fixture
def start(tmp_path):
    """Start an emulated account with the state that the last one left."""

    def open_state(cloud: Cloud) -> State:
        state = State(tmp_path / "state", cloud, "tally")
        state.restore(BUCKETS)
        return state

    return open_state


def test_objects_come_back_with_key_content_and_etag(start):
    with Cloud() as cloud:
        state = start(cloud)
        put = cloud.clients.s3.put_object(Bucket="artifacts", Key="a/model.tar.gz", Body=b"weights" * 1000)
        state.save()
        assert list(cloud.objects.in_memory()) == []  # what was saved is read from its file from now on
        body = cloud.clients.s3.get_object(Bucket="artifacts", Key="a/model.tar.gz")["Body"].read()
        assert body == b"weights" * 1000
    with Cloud() as cloud:
        start(cloud)
        got = cloud.clients.s3.get_object(Bucket="artifacts", Key="a/model.tar.gz")
        assert got["Body"].read() == b"weights" * 1000
        assert got["ETag"] == put["ETag"]


def test_packages_come_back_with_arn_approval_metadata_and_time(start):
    with Cloud() as cloud:
        state = start(cloud)
        client = cloud.clients.sagemaker
        arns = [client.create_model_package(**package(n))["ModelPackageArn"] for n in range(3)]
        client.update_model_package(
            ModelPackageArn=arns[1],
            ModelApprovalStatus="Approved",
            CustomerMetadataProperties=package(1)["CustomerMetadataProperties"],
        )
        before = registry.packages(client, "tally")
        state.save()
    with Cloud() as cloud:
        state = start(cloud)
        client = cloud.clients.sagemaker
        after = registry.packages(client, "tally")
        assert [p["ModelPackageArn"] for p in after] == arns
        for key in ("ModelApprovalStatus", "CustomerMetadataProperties", "CreationTime", "InferenceSpecification"):
            assert [p[key] for p in after] == [p[key] for p in before]
        assert registry.newest_approved(client, "tally")["ModelPackageArn"] == arns[1]
        assert client.create_model_package(**package(3))["ModelPackageArn"].endswith("/tally/4")


def test_a_state_of_another_format_is_refused(start, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "objects.json").write_text('{"format": "tally-state/0"}')
    with Cloud() as cloud, pytest.raises(LocalError, match="delete the folder"):
        start(cloud)


def test_what_nothing_refers_to_is_dropped_and_its_file_deleted(start, tmp_path):
    with Cloud() as cloud:
        state = start(cloud)
        for key in ("executions/e0/model.tar.gz", "executions/e1/trial.tar.gz", "executions/e2/report.html"):
            cloud.clients.s3.put_object(Bucket="artifacts", Key=key, Body=key.encode())
        cloud.clients.sagemaker.create_model_package(**package(0))
        state.save()
        assert state.drop_unused("artifacts", keep=["s3://artifacts/executions/e2/"]) == (1, 26)
        keys = [item.key for item in list_objects(cloud.clients.s3, "s3://artifacts/executions")]
        assert keys == ["executions/e0/model.tar.gz", "executions/e2/report.html"]
        assert len(list((tmp_path / "state" / "objects").iterdir())) == 2


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    for name in ("bin-images/01044.jpg", "bin-images/1044.jpg", "metadata/01044.json", "metadata/1044.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def upload(cloud, photos, tmp_path):
    def send(**more):
        index = tmp_path / "state" / "files.json"
        return upload_photos(photos, cloud.objects, bucket="raw", prefix="photos", index=index, **more)

    return send


def keys(cloud):
    return [item.key for item in list_objects(cloud.clients.s3, "s3://raw/photos/")]


def test_photos_are_uploaded_under_their_own_names(cloud, upload, get):
    assert upload().objects == 4
    assert keys(cloud) == [
        "photos/bin-images/01044.jpg",
        "photos/bin-images/1044.jpg",
        "photos/metadata/01044.json",
        "photos/metadata/1044.json",
    ]
    assert get("s3://raw/photos/bin-images/01044.jpg") == b"bin-images/01044.jpg"


def test_only_what_changed_is_uploaded_again_and_the_revision_follows_the_content(cloud, upload, photos, get):
    first = upload()
    again = upload()
    assert (again.changed, again.removed, again.revision) == (0, 0, first.revision)
    (photos / "bin-images" / "1044.jpg").write_bytes(b"another photo")
    (photos / "bin-images" / "2.jpg").write_bytes(b"a new photo")
    (photos / "metadata" / "1044.json").unlink()
    third = upload()
    assert (third.objects, third.changed, third.removed) == (4, 2, 1)
    assert third.revision != first.revision
    assert get("s3://raw/photos/bin-images/1044.jpg") == b"another photo"
    assert "photos/metadata/1044.json" not in keys(cloud)


def test_a_file_touched_without_a_change_keeps_the_revision(upload, photos):
    first = upload()
    os.utime(photos / "bin-images" / "1044.jpg", (1, 1))
    assert upload().revision == first.revision


def test_unchanged_files_are_not_read_again(upload, photos):
    first = upload()
    file = photos / "bin-images" / "1044.jpg"
    times = file.stat()
    file.write_bytes(b"x" * times.st_size)  # same size and, below, same time: only reading it would tell
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert upload().revision == first.revision


def test_groups_and_a_list_are_uploaded_under_the_names_preprocess_looks_for(cloud, upload, tmp_path):
    groups, listing = tmp_path / "labels.csv", tmp_path / "subset.json"
    groups.write_text("image_id,group\n1044,a\n")
    listing.write_text("{}")
    upload(groups=groups, listing=listing)
    assert {"photos/groups.csv", "photos/file_list.json"} < set(keys(cloud))


def test_photos_reach_a_job_through_the_listing_and_are_copies(cloud, upload, photos, tmp_path):
    upload()
    inputs = Inputs(cloud.clients.s3, tmp_path / "cache", cloud.objects.local_file)
    assert inputs.place("s3://raw/photos/", tmp_path / "tree") == 4
    copy = tmp_path / "tree" / "bin-images" / "1044.jpg"
    assert copy.read_bytes() == b"bin-images/1044.jpg"
    assert not copy.samefile(photos / "bin-images" / "1044.jpg")


def test_a_photo_that_changes_during_the_run_is_noticed(cloud, upload, photos, tmp_path):
    from local.errors import StepError

    upload()
    (photos / "bin-images" / "1044.jpg").write_bytes(b"longer than it was when it was uploaded")
    inputs = Inputs(cloud.clients.s3, tmp_path / "cache", cloud.objects.local_file)
    with pytest.raises(StepError, match="changed while the run was reading it; start the run again"):
        inputs.place("s3://raw/photos/", tmp_path / "tree")


def test_contents_that_a_run_did_not_use_are_forgotten(cloud, upload, tmp_path, put):
    put("s3://artifacts/a/1")
    put("s3://artifacts/b/1", b"y")
    folder = tmp_path / "cache"
    Inputs(cloud.clients.s3, folder).place("s3://artifacts/a", tmp_path / "one")
    second = Inputs(cloud.clients.s3, folder)
    second.place("s3://artifacts/b", tmp_path / "two")
    second.prune()
    assert {entry.name for entry in folder.iterdir()} == second.used


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing", "does not exist; give a directory with photos"),
        (lambda folder: folder, "holds no photos in its folders"),
    ],
    ids=["unknown", "empty"],
)
def test_a_data_directory_without_photos_is_refused(cloud, tmp_path, make, message):
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(LocalError, match=message):
        upload_photos(make(folder), cloud.objects, bucket="raw", prefix="photos", index=tmp_path / "files.json")
