"""What a run leaves for the next one: objects, model packages, cached steps, under `build/run/state`.

Contents lie in `objects/` by their SHA-256; `objects.json` maps S3 keys to them, or to the file a person's photo has
anyway. Everything is written atomically, `objects.json` after the contents it names.
"""

import re
import shutil
from collections.abc import Iterable
from datetime import UTC
from pathlib import Path
from typing import Any

from local import registry
from local.cloud import Cloud
from local.errors import LocalError
from local.filekeys import StoredObject
from local.files import atomic, file_digest, read_json, write_json
from local.jobs.inputs import list_objects

_FORMAT = "tally-state/1"
_S3_URI = re.compile(r"s3://[^\s\"']+")


class State:
    """The state folder of one build directory, for one model package group."""

    def __init__(self, folder: Path, cloud: Cloud, group: str):
        self._folder = folder
        self._cloud = cloud
        self._group = group

    @property
    def cache_file(self) -> Path:
        """Where the step cache lives."""
        return self._folder / "steps.json"

    @property
    def index_file(self) -> Path:
        """Where the ETags of uploaded files are remembered."""
        return self._folder / "files.json"

    def restore(self, buckets: Iterable[str]) -> tuple[int, int]:
        """Create `buckets`, bring back objects and packages; return how many of each.

        Objects whose file is gone (a photo that was deleted) are left out. LocalError for a state of another format.
        """
        for bucket in buckets:
            self._cloud.create_bucket(bucket)
        saved = read_json(self._folder / "objects.json", {"format": _FORMAT, "objects": []})
        if saved.get("format") != _FORMAT:
            raise LocalError(
                f"{self._folder} has the format {saved.get('format')!r}, not {_FORMAT!r}; delete the folder"
            )
        restored = 0
        for item in saved["objects"]:
            file = self._folder / item["file"]
            if file.is_file() and file.stat().st_size == item["size"]:
                self._cloud.objects.put(StoredObject(**{**item, "file": file}))
                restored += 1
        return restored, registry.restore(self._cloud.clients.sagemaker, self._group, self._folder / "packages.json")

    def save(self) -> None:
        """Write what came since the last save, and free the memory that it took."""
        for bucket, key in self._cloud.objects.in_memory():
            self._cloud.objects.put(self._keep(bucket, key))
        objects = [_as_json(stored, self._folder) for stored in self._cloud.objects.stored()]
        write_json(self._folder / "objects.json", {"format": _FORMAT, "objects": objects})
        registry.save(self._cloud.clients.sagemaker, self._group, self._folder / "packages.json")

    def drop_unused(self, bucket: str, keep: Iterable[str]) -> tuple[int, int]:
        """Forget objects of `bucket` that no model package, no cached step and no prefix in `keep` refers to.

        A laptop would otherwise keep every trial of every run. Returns how many objects and bytes were dropped."""
        texts = [
            (self._folder / name).read_text("utf-8") for name in ("packages.json", "steps.json") if self._has(name)
        ]
        wanted = tuple({*keep, *(uri for text in texts for uri in _S3_URI.findall(text))})
        dropped = [
            stored
            for stored in self._cloud.objects.stored()
            if stored.bucket == bucket and not f"s3://{bucket}/{stored.key}".startswith(wanted)
        ]
        for stored in dropped:
            self._cloud.objects.remove(stored.bucket, stored.key)
        self.save()
        used = {stored.file for stored in self._cloud.objects.stored()}
        for file in (self._folder / "objects").glob("*"):
            if file not in used:
                file.unlink()
        return len(dropped), sum(stored.size for stored in dropped)

    def exists(self, uri: str) -> bool:
        """Whether anything lies at an S3 prefix."""
        return bool(list_objects(self._cloud.clients.s3, uri))

    def _has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def _keep(self, bucket: str, key: Any) -> StoredObject:
        folder = self._folder / "objects"
        incoming = folder / ".incoming"
        with key.lock, atomic(incoming) as file:
            key._value_buffer.seek(0)
            shutil.copyfileobj(key._value_buffer, file)
        content = folder / file_digest(incoming, "sha256")
        incoming.replace(content)
        return StoredObject(
            bucket, key.name, key.etag.strip('"'), key.size, key.last_modified.replace(tzinfo=UTC).timestamp(), content
        )


def _as_json(stored: StoredObject, folder: Path) -> dict[str, Any]:
    inside = stored.file.is_relative_to(folder)
    return {**vars(stored), "file": str(stored.file.relative_to(folder) if inside else stored.file)}
