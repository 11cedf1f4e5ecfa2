"""Brings S3 prefixes into job trees: each content is fetched once and hard-linked into every tree that wants it.

The emulated S3 answers some 600 requests a second, so 5,000 photos would take 10 s: objects that lie in this process's
memory are taken from there. Copies are read-only, so that no job can change what another reads.
"""

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local.errors import StepError
from local.files import digest
from local.jobs.tree import link_or_copy
from local.s3uri import S3Uri

_THREADS = 4
_CHUNK = 2**20  # bytes


@dataclass(frozen=True)
class S3Object:
    """One object below a prefix; `name` is its path relative to the prefix."""

    bucket: str
    key: str
    name: str
    etag: str
    size: int


def list_objects(s3: Any, uri: str) -> list[S3Object]:
    """Return the objects at `uri`, sorted by key."""
    prefix = S3Uri.parse(uri)
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key):
        for item in page.get("Contents", []):
            name = prefix.relative(item["Key"])
            if name is not None and not item["Key"].endswith("/"):
                found.append(S3Object(prefix.bucket, item["Key"], name, item["ETag"].strip('"'), item["Size"]))
    return sorted(found, key=lambda item: item.key)


ReadObject = Callable[[str, str, str], bytes | None]
"""The bytes of an object (bucket, key, ETag) that needs no request; None where it does."""


class Inputs:
    """Downloads through `s3` (a boto3 client) what `read` does not have into `folder`, shared by all jobs."""

    def __init__(self, s3: Any, folder: Path, read: ReadObject = lambda _bucket, _key, _etag: None):
        self._s3 = s3
        self._read = read
        self._folder = folder
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self.used: set[str] = set()

    def place(self, uri: str, target: Path, *, shard: tuple[int, int] = (0, 1)) -> int:
        """Put the objects at `uri` under `target`; return how many.

        `shard` (i, n) takes every n-th object by key, beginning with i (ShardedByS3Key). StepError when there is
        nothing.
        """
        objects = list_objects(self._s3, uri)
        if not objects:
            raise StepError(
                f"{uri} holds no object; the step that should have written it did not, or the prefix is wrong"
            )
        folder = self._fetch(objects)
        target.mkdir(parents=True, exist_ok=True)
        mine = objects[shard[0] :: shard[1]]
        for item in mine:
            link_or_copy(folder / item.name, target / item.name)
        return len(mine)

    def prune(self) -> None:
        """Delete contents that this run did not use."""
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in self.used:
                shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, objects: list[S3Object]) -> Path:
        name = digest([(o.name, o.etag) for o in objects])[:32]
        with self._guard:
            self.used.add(name)
            lock = self._locks.setdefault(name, threading.Lock())
        folder = self._folder / name
        with lock:
            if not folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                partial = Path(tempfile.mkdtemp(dir=self._folder, prefix=".partial-"))
                self._fill(partial, objects)
                partial.rename(folder)
        return folder

    def _fill(self, folder: Path, objects: list[S3Object]) -> None:
        for parent in {(folder / item.name).parent for item in objects}:
            parent.mkdir(parents=True, exist_ok=True)

        def fetch(some: list[S3Object]) -> None:
            for item in some:
                self._fetch_one(item, folder / item.name)

        # A part for each thread: to hand over one small file at a time costs more than to write it.
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fetch, (objects[first::_THREADS] for first in range(_THREADS))))

    def _fetch_one(self, item: S3Object, target: Path) -> None:
        if (content := self._read(item.bucket, item.key, item.etag)) is not None:
            with _new(target) as file:
                file.write(content)
            _check(item, len(content))
            return
        # One request each, where download_file makes two: this is what a job with many photos waits for.
        body = self._s3.get_object(Bucket=item.bucket, Key=item.key)["Body"]
        with contextlib.closing(body), _new(target) as file:
            shutil.copyfileobj(body, file, _CHUNK)
            _check(item, file.tell())


def _new(target: Path) -> IO[bytes]:
    """A file to write now and never again."""
    return open(target, "xb", opener=lambda path, flags: os.open(path, flags, 0o444))


def _check(item: S3Object, size: int) -> None:
    if size != item.size:
        raise StepError(
            f"s3://{item.bucket}/{item.key} should have {item.size} bytes and has {size}: "
            "it was replaced while the job was reading it; start the run again"
        )
