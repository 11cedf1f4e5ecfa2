"""Empties buckets before they are deleted: every version, every delete marker, every unfinished upload."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.account import Account
from ops.errors import OpsError, code

_AT_ONCE = 1000  # S3's limit
_COUNTED = 20_000  # versions that are counted before "more than" is said


@dataclass(frozen=True)
class Content:
    """How much a bucket holds: versions and delete markers; `more` when counting stopped early."""

    bucket: str
    versions: int
    size: int
    more: bool

    def __str__(self) -> str:
        if not self.versions:
            return f"{self.bucket}: empty"
        least = "more than " if self.more else ""
        return f"{self.bucket}: {least}{self.versions} object versions, {least}{self.size / 1e6:.1f} MB"


def content(account: Account, bucket: str) -> Content:
    """Count a bucket's versions, up to some ten thousand."""
    versions = size = 0
    for page in _pages(account, bucket):
        versions += len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
        size += sum(item["Size"] for item in page.get("Versions", []))
        if versions >= _COUNTED:
            return Content(bucket, versions, size, more=True)
    return Content(bucket, versions, size, more=False)


def empty(account: Account, bucket: str) -> int:
    """Delete everything in a bucket for good; how many versions there were. A missing bucket counts as empty.

    OpsError names the first object that cannot be deleted.
    """
    s3 = account.client("s3")
    deleted = 0
    for page in _pages(account, bucket):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        for first in range(0, len(objects), _AT_ONCE):
            some = objects[first : first + _AT_ONCE]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
            if errors := answer.get("Errors"):
                raise OpsError(f"s3://{bucket}/{errors[0]['Key']} was not deleted: {errors[0].get('Message')}")
        deleted += len(objects)
    if deleted:  # pages can shift while objects go
        return deleted + empty(account, bucket)
    _abort_uploads(s3, bucket)
    return deleted


def _abort_uploads(s3: Any, bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for item in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"])
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise


def _pages(account: Account, bucket: str) -> Iterator[dict[str, Any]]:
    try:
        yield from account.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise
