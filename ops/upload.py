"""Brings a directory of photos into the raw bucket: only what is new or changed, `_SUCCESS` last.

What an unchanged file is: S3's ETag is no MD5 in a bucket with a KMS key, and a listing carries no checksum. So the
uploader keeps an index in the bucket, outside the prefix: for each object the MD5 of the file that was sent and the
ETag that S3 answered with. An object whose ETag is still that one holds those bytes; anything else is sent again.
Sending an unchanged photo again would be worse than slow: it changes the ETag, with it the input's revision, and so
Preprocess would not come from the cache.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.names import SUCCESS_FILE
from ops.account import Account
from ops.errors import OpsError, code
from ops.photos import photo_files

_THREADS = 16
_BATCH = 10_000  # files handed to the threads at a time: half a million at once would be a gigabyte
_DELETE_AT_ONCE = 1000  # S3's limit
_INDEX = "_uploads/{prefix}.json.gz"

Progress = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True)
class Upload:
    """What an upload did: files in the directory, those sent, objects deleted, objects that have no file any more."""

    bucket: str
    prefix: str
    files: int
    sent: int
    deleted: int
    vanished: int
    started: bool

    def __str__(self) -> str:
        stay = self.vanished - self.deleted
        return (
            f"s3://{self.bucket}/{self.prefix}/: {self.files} files, {self.sent} new or changed, {self.deleted} deleted"
            + (f", {stay} kept that the directory no longer has (--delete removes them)" if stay else "")
        )


@dataclass(frozen=True)
class _Known:
    """An object as it was uploaded."""

    md5: str
    etag: str


def upload(
    account: Account,
    source: Path,
    prefix: str,
    *,
    groups: Path | None = None,
    listing: Path | None = None,
    delete: bool = False,
    start: bool = True,
    progress: Progress | None = None,
) -> Upload:
    """Make `s3://raw/PREFIX/` hold what `source` holds; with `start`, `_SUCCESS` is put last, which starts a run.

    `delete` removes objects whose file is gone. OpsError when `source` or `prefix` cannot be used.
    """
    prefix = checked_prefix(prefix)
    files = photo_files(source, groups, listing)
    return _Uploader(account.client("s3"), account.output("data", "RawBucket"), prefix).run(
        files, delete, start, progress or (lambda _done, _all: None)
    )


def checked_prefix(prefix: str) -> str:
    """The prefix without end slash. OpsError when it is empty or holds empty parts."""
    clean = prefix.rstrip("/")
    if not clean or any(part in ("", ".", "..") for part in clean.split("/")) or clean.split("/")[0] == "_uploads":
        raise OpsError(f"the prefix {prefix!r} cannot be used; write it like photos or deliveries/2026-11")
    return clean


class _Uploader:
    """One upload to one prefix."""

    def __init__(self, s3: Any, bucket: str, prefix: str):
        self.s3 = s3
        self.bucket = bucket
        self.prefix = prefix

    def run(self, files: dict[str, Path], delete: bool, start: bool, progress: Progress) -> Upload:
        stored = self._stored()
        with self._index() as index:
            sent = self._send(files, stored, index, progress)
            vanished = sorted(stored.keys() - files.keys() - {SUCCESS_FILE})
            if delete:
                self._delete(vanished, index)
        if start:
            self.s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{SUCCESS_FILE}", Body=b"")
        deleted = len(vanished) if delete else 0
        return Upload(self.bucket, self.prefix, len(files), sent, deleted, len(vanished), start)

    def _send(
        self, files: dict[str, Path], stored: dict[str, tuple[int, str]], index: dict[str, _Known], progress: Progress
    ) -> int:
        def bring(name: str, path: Path) -> _Known | None:
            """Send the file unless the bucket holds it; what was sent."""
            size, etag = stored.get(name, (-1, ""))
            content = path.read_bytes()
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            # Without a KMS key the ETag is the MD5, so what other tools uploaded is recognised as well.
            if size == len(content) and (etag == md5 or index.get(name) == _Known(md5, etag)):
                return None
            answer = self.s3.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=content)
            return _Known(md5, _plain(answer["ETag"]))

        sent = 0
        names = list(files)
        with ThreadPoolExecutor(_THREADS) as pool:
            for first in range(0, len(names), _BATCH):
                waiting = {pool.submit(bring, name, files[name]): name for name in names[first : first + _BATCH]}
                try:
                    for done, future in enumerate(as_completed(waiting), first + 1):
                        if known := future.result():
                            index[waiting[future]] = known
                            sent += 1
                        progress(done, len(names))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        return sent

    def _stored(self) -> dict[str, tuple[int, str]]:
        """Size and ETag of the prefix's objects by name."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        start = len(self.prefix) + 1
        return {
            item["Key"][start:]: (item["Size"], _plain(item["ETag"]))
            for page in pages
            for item in page.get("Contents", [])
        }

    @contextmanager
    def _index(self) -> Iterator[dict[str, _Known]]:
        """The index to read and to change; saved also when the upload is interrupted, so that the next one goes on."""
        key = _INDEX.format(prefix=self.prefix)
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            index = {name: _Known(*pair) for name, pair in json.loads(gzip.decompress(body)).items()}
        except ClientError as error:
            if code(error) not in ("NoSuchKey", "404"):
                raise
            index = {}
        before = dict(index)
        try:
            yield index
        finally:
            if index != before:
                pairs = {name: [known.md5, known.etag] for name, known in sorted(index.items())}
                text = json.dumps(pairs, separators=(",", ":")).encode()
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=gzip.compress(text, mtime=0))

    def _delete(self, names: list[str], index: dict[str, _Known]) -> None:
        for first in range(0, len(names), _DELETE_AT_ONCE):
            some = names[first : first + _DELETE_AT_ONCE]
            objects = [{"Key": f"{self.prefix}/{name}"} for name in some]
            answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
            if errors := answer.get("Errors"):
                raise OpsError(f"s3://{self.bucket}/{errors[0]['Key']} was not deleted: {errors[0].get('Message')}")
            for name in some:
                index.pop(name, None)


def _plain(etag: str) -> str:
    return etag.strip('"')
