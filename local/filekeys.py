"""Objects of the emulated S3 whose bytes stay in a file of this disk.

moto keeps objects in memory and takes some 4 ms for each PUT. 5,000 photos would cost 20 s at every start and their
whole size in memory; a run's models would pile up beside them. Such an object instead knows its file, size and ETag. It
can be listed, read and copied through the API as any other. Works on moto's own classes: moto's version is pinned.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.s3.models import FakeKey, s3_backends


@dataclass(frozen=True)
class StoredObject:
    """One object: where it is in S3 and which file holds it. `etag` is without quotes; `modified` in seconds."""

    bucket: str
    key: str
    etag: str
    size: int
    modified: float
    file: Path


class FileKey(FakeKey):  # type: ignore[misc]  # moto is untyped
    """A moto object that reads its value from `path`."""

    def __init__(self, stored: StoredObject, account: str, region: str):
        self.path = stored.file
        super().__init__(
            name=stored.key,
            value=b"",
            account_id=account,
            region_name=region,
            etag=stored.etag,
            bucket_name=stored.bucket,
            version_id="null",
        )
        self._value_buffer.close()
        self.contentsize = stored.size
        self.last_modified = datetime.fromtimestamp(stored.modified, UTC).replace(tzinfo=None)

    @property
    def value(self) -> bytes:
        """The object's bytes."""
        return self.path.read_bytes()

    @value.setter
    def value(self, new_value: bytes) -> None:
        """Nothing to keep: the file is the value."""

    def dispose(self, garbage: bool = False) -> None:  # noqa: ARG002 - moto's signature
        """Nothing to release."""
        self.disposed = True


class FileObjects:
    """Puts file-backed objects into one account's emulated S3 and finds them again."""

    def __init__(self, account: str, region: str):
        self._account = account
        self._region = region

    def put(self, stored: StoredObject) -> None:
        """Create or replace an object; its bucket must exist."""
        self._buckets()[stored.bucket].keys.setlist(stored.key, [FileKey(stored, self._account, self._region)])

    def local_file(self, bucket: str, key: str, etag: str) -> Path | None:
        """The file of an object with this ETag, or None when the emulator itself holds it."""
        found = self._buckets()[bucket].keys.get(key)
        return found.path if isinstance(found, FileKey) and found.etag == f'"{etag}"' else None

    def in_memory(self) -> Iterator[tuple[str, Any]]:
        """All objects that came through the API, as (bucket, moto object)."""
        for name, bucket in list(self._buckets().items()):
            for _, key in list(bucket.keys.items()):
                if isinstance(key, FakeKey) and not isinstance(key, FileKey):
                    yield name, key

    def stored(self) -> Iterator[StoredObject]:
        """All file-backed objects."""
        for name, bucket in list(self._buckets().items()):
            for key_name, key in list(bucket.keys.items()):
                if isinstance(key, FileKey):
                    modified = key.last_modified.replace(tzinfo=UTC).timestamp()
                    yield StoredObject(name, key_name, key.etag.strip('"'), key.size, modified, key.path)

    def remove(self, bucket: str, key: str) -> None:
        """Forget an object; its file stays."""
        self._buckets()[bucket].keys.pop(key)

    def _buckets(self) -> Any:
        return s3_backends[self._account]["aws"].buckets
