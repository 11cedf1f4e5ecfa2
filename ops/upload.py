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
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from infra.names import SUCCESS_FILE
from infra.settings import Settings
from ops.account import Account
from ops.errors import OpsError, code
from ops.photos import left_out, photo_files

_ALONE = 500  # files up to which one process sends them: others take half a second to start
_THREADS = 16  # of one process, which waits for S3
_PROCESSES, _THREADS_OF_SEVERAL = 4, 4
_AT_ONCE = 50  # files that a process is given
_BATCH = 10_000  # files handed over at a time: half a million at once would be a gigabyte
_SHOWN = 5  # names of photos left out
_DELETE_AT_ONCE = 1000  # S3's limit
_INDEX = "_uploads/{prefix}.json.gz"

Progress = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True)
class Upload:
    """What an upload did: files in the directory, those sent, objects deleted, objects that have no file any more, and
    photos that lie where none is taken from."""

    bucket: str
    prefix: str
    files: int
    sent: int
    deleted: int
    vanished: int
    started: bool
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        stay = self.vanished - self.deleted
        return (
            f"s3://{self.bucket}/{self.prefix}/: {self.files} files, {self.sent} new or changed, {self.deleted} deleted"
            + (f", {stay} kept that the directory no longer has (--delete removes them)" if stay else "")
            + (f"\n{self._left_out}" if self.left_out else "")
        )

    @property
    def _left_out(self) -> str:
        some, more = self.left_out[:_SHOWN], len(self.left_out) - _SHOWN
        names = ", ".join(map(repr, some)) + (f" and {more} more" if more > 0 else "")
        return f"{len(self.left_out)} photos left out, which do not lie directly in a folder of the directory: {names}"


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
    done = _Uploader(account, account.output("data", "RawBucket"), prefix).run(
        files, delete, start, progress or (lambda _done, _all: None)
    )
    return replace(done, left_out=tuple(left_out(source)))


def checked_prefix(prefix: str) -> str:
    """The prefix without end slash. OpsError when it is empty or holds empty parts."""
    clean = prefix.rstrip("/")
    if not clean or any(part in ("", ".", "..") for part in clean.split("/")) or clean.split("/")[0] == "_uploads":
        raise OpsError(f"the prefix {prefix!r} cannot be used; write it like photos or deliveries/2026-11")
    return clean


@dataclass(frozen=True)
class _File:
    """A file, size and ETag of the object of its name (-1 and none without one), and what was uploaded before."""

    name: str
    path: Path
    size: int
    etag: str
    known: _Known | None


_Bring = Callable[[Sequence[_File]], list[_Known | None]]


class _Sender:
    """Sends files of one upload; one for all threads of a process."""

    def __init__(self, account: Account, bucket: str, prefix: str):
        self._s3 = account.client("s3")
        # For each photo to ask first whether it may be sent takes as long as to send it.
        self._s3.meta.events.unregister("before-call.s3", add_expect_header)
        self._bucket = bucket
        self._prefix = prefix

    def bring(self, files: Sequence[_File]) -> list[_Known | None]:
        """Send each file unless the bucket holds it; what was sent."""
        return [self.bring_one(file) for file in files]

    def bring_one(self, file: _File) -> _Known | None:
        content = file.path.read_bytes()
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        # Without a KMS key the ETag is the MD5, so what other tools uploaded is recognised as well.
        if file.size == len(content) and (file.etag == md5 or file.known == _Known(md5, file.etag)):
            return None
        answer = self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{file.name}", Body=content)
        return _Known(md5, _plain(answer["ETag"]))


_here: tuple[_Sender, ThreadPoolExecutor]
"""Of a process that sends."""


def _start_process(settings: Settings, environ: dict[str, str], bucket: str, prefix: str) -> None:
    global _here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    _here = _Sender(Account(settings, environ), bucket, prefix), ThreadPoolExecutor(_THREADS_OF_SEVERAL)


def prepare(files: int) -> None:
    """Begin to start what sends so many files, where that takes processes, for an upload that comes soon.

    They are deaf to Ctrl-C from the beginning: it would print a traceback while they import.
    """
    if files <= _ALONE:
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(["ops.upload"])
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _bring(files: Sequence[_File]) -> list[_Known | None]:
    sender, threads = _here
    return list(threads.map(sender.bring_one, files))


class _Uploader:
    """One upload to one prefix."""

    def __init__(self, account: Account, bucket: str, prefix: str):
        self.account = account
        self.s3 = account.client("s3")
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
        sent, names = 0, list(files)
        with self._senders(len(names)) as (pool, bring, at_once):
            for first in range(0, len(names), _BATCH):
                batch = [
                    _File(name, files[name], *stored.get(name, (-1, "")), index.get(name))
                    for name in names[first : first + _BATCH]
                ]
                parts = [batch[start : start + at_once] for start in range(0, len(batch), at_once)]
                waiting = {pool.submit(bring, part): part for part in parts}
                done = first
                try:
                    for future in as_completed(waiting):
                        for file, known in zip(waiting[future], future.result(), strict=True):
                            if known:
                                index[file.name] = known
                                sent += 1
                        done += len(waiting[future])
                        progress(done, len(names))
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        return sent

    @contextmanager
    def _senders(self, files: int) -> Iterator[tuple[Executor, _Bring, int]]:
        """Who sends that many files: an executor, what it calls with some of them, and with how many at once."""
        if files <= _ALONE:
            with ThreadPoolExecutor(_THREADS) as pool:
                yield pool, _Sender(self.account, self.bucket, self.prefix).bring, 1
            return
        # Threads of one process wait for Python's lock: signing and reading answers takes as long as S3 does.
        prepare(files)
        context = multiprocessing.get_context("forkserver")
        processes = min(_PROCESSES, len(os.sched_getaffinity(0)))
        place = (self.account.settings, dict(self.account.environ), self.bucket, self.prefix)
        try:
            with ProcessPoolExecutor(processes, context, _start_process, place) as pool:
                yield pool, _bring, _AT_ONCE
        except BrokenProcessPool as error:
            raise OpsError(
                "a process that sends files was killed, most likely for want of memory: upload again to go on from here"
            ) from error

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
