"""Uploads against a real S3 API (moto's server), with ETags as a bucket with a KMS key gives them."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from ops.account import Account
from ops.errors import OpsError
from ops.upload import Upload, upload


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("bin-images/1.jpg", "bin-images/2.jpg", "metadata/1.json", "metadata/2.json"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "photos"


@pytest.fixture
def kms(account: Account, data_stack: str) -> None:
    """Makes ETags opaque and new with every upload, as SSE-KMS does."""
    events, numbers, etags = account.client("s3").meta.events, itertools.count(), {}

    def put(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["key"] = params["Key"]

    def was_put(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        parsed["ETag"] = etags[context["key"]] = f'"{next(numbers):032x}"'

    def was_listed(parsed: dict[str, Any], **_: Any) -> None:
        for item in parsed.get("Contents", []):
            item["ETag"] = etags[item["Key"]]

    events.register("before-parameter-build.s3.PutObject", put)
    events.register("after-call.s3.PutObject", was_put)
    events.register("after-call.s3.ListObjectsV2", was_listed)


def keys(account: Account, bucket: str, prefix: str = "photos/") -> dict[str, str]:
    found = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {item["Key"]: item["ETag"] for item in found}


def test_the_first_upload_sends_everything_and_success_last(account: Account, data_stack: str, photos: Path) -> None:
    sent: list[str] = []
    account.client("s3").meta.events.register(
        "before-parameter-build.s3.PutObject", lambda params, **_: sent.append(params["Key"])
    )
    done = upload(account, photos, "photos/")
    assert done == Upload(data_stack, "photos", files=4, sent=4, deleted=0, vanished=0, started=True)
    assert set(keys(account, data_stack)) == {
        "photos/_SUCCESS",
        "photos/bin-images/1.jpg",
        "photos/bin-images/2.jpg",
        "photos/metadata/1.json",
        "photos/metadata/2.json",
    }
    assert sent[-1] == "photos/_SUCCESS"


@pytest.mark.usefixtures("data_stack")
def test_no_photo_waits_for_leave_to_be_sent(account: Account, photos: Path) -> None:
    asked: list[bool] = []
    account.client("s3").meta.events.register(
        "before-send.s3.PutObject", lambda request, **_: asked.append("Expect" in request.headers)
    )
    upload(account, photos, "photos/")
    assert set(asked) == {False}


@pytest.mark.usefixtures("kms")
def test_with_opaque_etags_unchanged_files_keep_theirs(account: Account, data_stack: str, photos: Path) -> None:
    upload(account, photos, "photos")
    before = keys(account, data_stack)
    again = upload(account, photos, "photos")
    assert (again.sent, str(again)) == (0, f"s3://{data_stack}/photos/: 4 files, 0 new or changed, 0 deleted")
    after = keys(account, data_stack)
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {"photos/_SUCCESS"}


@pytest.mark.usefixtures("kms")
def test_a_file_of_the_same_size_with_other_bytes_is_sent(account: Account, photos: Path) -> None:
    upload(account, photos, "photos")
    file = photos / "bin-images" / "1.jpg"
    file.write_text(file.read_text().upper())
    (photos / "bin-images" / "3.jpg").write_text("new")
    assert upload(account, photos, "photos").sent == 2
    assert upload(account, photos, "photos").sent == 0


@pytest.mark.usefixtures("kms")
def test_an_object_that_somebody_else_replaced_is_mended(account: Account, data_stack: str, photos: Path) -> None:
    upload(account, photos, "photos")
    s3 = account.client("s3")
    s3.put_object(Bucket=data_stack, Key="photos/bin-images/1.jpg", Body=b"BIN-IMAGES/1.JPG")  # of the same size
    assert upload(account, photos, "photos").sent == 1
    assert s3.get_object(Bucket=data_stack, Key="photos/bin-images/1.jpg")["Body"].read() == b"bin-images/1.jpg"


def test_what_another_tool_uploaded_is_recognised_by_its_md5(account: Account, data_stack: str, photos: Path) -> None:
    for name in ("bin-images/1.jpg", "bin-images/2.jpg"):
        account.client("s3").upload_file(str(photos / name), data_stack, f"photos/{name}")
    assert upload(account, photos, "photos").sent == 2


def test_vanished_files_are_counted_and_go_only_when_told(account: Account, data_stack: str, photos: Path) -> None:
    upload(account, photos, "photos")
    (photos / "bin-images" / "2.jpg").unlink()
    kept = upload(account, photos, "photos")
    assert (kept.vanished, kept.deleted) == (1, 0)
    assert "1 kept that the directory no longer has (--delete removes them)" in str(kept)
    assert upload(account, photos, "photos", delete=True).deleted == 1
    assert "photos/bin-images/2.jpg" not in keys(account, data_stack)
    assert "photos/_SUCCESS" in keys(account, data_stack)


def test_without_start_no_run_is_triggered(account: Account, data_stack: str, photos: Path) -> None:
    assert not upload(account, photos, "photos", start=False).started
    assert "photos/_SUCCESS" not in keys(account, data_stack)


def test_a_prefix_beside_another_is_left_alone(account: Account, data_stack: str, photos: Path) -> None:
    upload(account, photos, "photos-old")
    (photos / "bin-images" / "2.jpg").unlink()
    assert upload(account, photos, "photos", delete=True).vanished == 0
    assert len(keys(account, data_stack, "photos-old/")) == 5


def test_photos_that_lie_where_none_is_taken_from_are_counted_and_named(
    account: Account, data_stack: str, photos: Path
) -> None:
    for name in ("top.jpg", "bin-images/2024/3.PNG", "bin-images/notes.txt", ".hidden/4.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_text(name)
    (photos / "bin-images" / "gone.jpg").symlink_to(photos / "nowhere")
    done = upload(account, photos, "photos")
    assert done.left_out == ("top.jpg", "bin-images/gone.jpg", "bin-images/2024/3.PNG")
    assert str(done).splitlines()[1] == (
        "3 photos left out, which do not lie directly in a folder of the directory: "
        "'top.jpg', 'bin-images/gone.jpg', 'bin-images/2024/3.PNG'"
    )
    for number in range(9):
        (photos / f"{number}.jpg").touch()
    assert str(upload(account, photos, "photos")).endswith("'3.jpg', '4.jpg' and 7 more")


def test_groups_and_listing_take_their_places(account: Account, data_stack: str, photos: Path, tmp_path: Path) -> None:
    (photos / "groups.csv").write_text("image_id,group\n")
    groups = tmp_path / "mine.csv"
    groups.write_text("image_id,group\n1,a\n")
    assert upload(account, photos, "photos", groups=groups).files == 5
    body = account.client("s3").get_object(Bucket=data_stack, Key="photos/groups.csv")["Body"].read()
    assert body == groups.read_bytes()


def test_a_file_name_that_is_no_text_is_named_before_anything_is_sent(
    account: Account, data_stack: str, photos: Path
) -> None:
    folder = next(entry for entry in photos.iterdir() if entry.is_dir())
    (folder / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(b"photo")
    with pytest.raises(OpsError, match=r"\\xff\\xfe\.jpg' is no UTF-8 text, as S3 wants it; rename it"):
        upload(account, photos, "photos")
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=data_stack)


def test_an_interrupted_upload_goes_on_where_it_was(account: Account, data_stack: str, photos: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(account, photos, "photos", progress=stop)
    assert "photos/_SUCCESS" not in keys(account, data_stack)
    upload(account, photos, "photos")
    assert len(keys(account, data_stack)) == 5


def test_many_files_are_sent_by_several_processes_and_what_fails_there_is_raised_here(
    account: Account, data_stack: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.upload._ALONE", 3)
    monkeypatch.setattr("ops.upload._AT_ONCE", 2)
    told: list[tuple[int, int]] = []
    assert upload(account, photos, "photos", progress=lambda *done: told.append(done)).sent == 4
    assert told == [(2, 4), (4, 4)]
    assert len(keys(account, data_stack)) == 5
    assert upload(account, photos, "photos").sent == 0
    (photos / "bin-images" / "1.jpg").write_text("changed")
    (photos / "metadata" / "2.json").unlink()
    (photos / "metadata" / "2.json").symlink_to("/proc/self/mem")  # which cannot be read from its beginning
    with pytest.raises(OSError, match="Input/output error"):
        upload(account, photos, "photos")
    (photos / "metadata" / "2.json").unlink()
    assert upload(account, photos, "photos", delete=True).deleted == 1


@pytest.mark.parametrize("prefix", ["", "/", "/photos", "a//b", "../a", "_uploads/a"])
def test_a_prefix_that_cannot_be_used_is_named(account: Account, photos: Path, prefix: str) -> None:
    with pytest.raises(OpsError, match="cannot be used; write it like photos or deliveries/2026-11"):
        upload(account, photos, prefix)


def test_a_directory_without_photos_is_refused_with_the_layouts(account: Account, tmp_path: Path) -> None:
    with pytest.raises(OpsError, match=r"missing does not exist; give a directory with photos: expected bin-images/"):
        upload(account, tmp_path / "missing", "photos")
    (tmp_path / "metadata").mkdir()
    with pytest.raises(OpsError, match="holds no photos in its folders"):
        upload(account, tmp_path, "photos")
    (tmp_path / "metadata" / "1.jpg").write_text("")
    with pytest.raises(OpsError, match=r"nothing\.csv was given as groups\.csv and is not a file"):
        upload(account, tmp_path, "photos", groups=tmp_path / "nothing.csv")


def test_without_the_stack_the_command_that_deploys_it_is_named(account: Account, photos: Path) -> None:
    with pytest.raises(
        OpsError,
        match="stack tally-dev-data does not exist in account 123456789012, eu-west-1; "
        "deploy it: python -m ops deploy --env dev",
    ):
        upload(account, photos, "photos")
