"""What the emulated account keeps when its process ends: objects of the artifacts bucket and the model in service.

Kept is what a model package, a cached step or the last run refers to; a laptop would otherwise keep every trial of
every run. Packages and the step cache are files of the emulator itself in the same folder. Photos are not kept: they
lie where the person has them, and are uploaded again.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local.errors import LocalError
from local.files import atomic, file_digest, read_json, write_json
from local.jobs.inputs import S3Object, list_objects

_FORMAT = "tally-state/2"
_THREADS = 4
_S3_URI = re.compile(r"s3://[^\s\"'\\]+")


class State:
    """The state folder of one build directory, for one bucket of the emulated S3 (`s3` is a boto3 client)."""

    def __init__(self, folder: Path, s3: Any, bucket: str):
        self._folder = folder
        self._s3 = s3
        self._bucket = bucket
        self._index_file = folder / "objects.json"

    def load(self) -> str | None:
        """Put the kept objects into the bucket; return the ARN of the package that was in service, if any.

        LocalError when the state is of another format or a kept file is gone or damaged.
        """
        index = self._index()
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(self._put, index["objects"].items()))
        in_service: str | None = index["in_service"]
        return in_service

    def save(self, in_service: str | None, packages: Any, keep: Iterable[str]) -> int:
        """Keep the objects that `packages` (any JSON), cached steps and the prefixes `keep` refer to; return how
        many."""
        cached = self._folder / "steps.json"
        texts = [json.dumps(packages, default=str), cached.read_text("utf-8") if cached.exists() else ""]
        wanted = tuple({*keep, *(uri for text in texts for uri in _S3_URI.findall(text))})
        found = list_objects(self._s3, f"s3://{self._bucket}/")
        kept = [item for item in found if f"s3://{self._bucket}/{item.key}".startswith(wanted)]
        before = self._index()["objects"]
        with ThreadPoolExecutor(_THREADS) as pool:
            objects = dict(pool.map(lambda item: self._keep(item, before.get(item.key)), kept))
        write_json(self._index_file, {"format": _FORMAT, "in_service": in_service, "objects": objects})
        used = {entry["file"] for entry in objects.values()}
        for file in self._objects.glob("*"):
            if file.name not in used:
                file.unlink()
        return len(objects)

    def clear(self) -> None:
        """Keep nothing."""
        self._index_file.unlink(missing_ok=True)
        shutil.rmtree(self._objects, ignore_errors=True)

    @property
    def _objects(self) -> Path:
        return self._folder / "objects"

    def _index(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"format": _FORMAT, "in_service": None, "objects": {}}
        index: dict[str, Any] = read_json(self._index_file, empty)
        if index.get("format") != _FORMAT:
            raise LocalError(
                f"{self._folder} has the format {index.get('format')!r}, not {_FORMAT!r}; start over: make clean"
            )
        return index

    def _put(self, item: tuple[str, dict[str, str]]) -> None:
        key, entry = item
        file = self._objects / entry["file"]
        if not file.is_file() or file_digest(file, "sha256") != entry["file"]:
            raise LocalError(f"{file}, kept for s3://{self._bucket}/{key}, is gone or damaged; start over: make clean")
        with file.open("rb") as content:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)

    def _keep(self, item: S3Object, before: dict[str, str] | None) -> tuple[str, dict[str, str]]:
        if before is not None and before["etag"] == item.etag and (self._objects / before["file"]).is_file():
            return item.key, before
        incoming = self._objects / f".incoming-{hashlib.sha256(item.key.encode()).hexdigest()[:16]}"
        body = self._s3.get_object(Bucket=item.bucket, Key=item.key)["Body"]
        with atomic(incoming) as file:
            shutil.copyfileobj(body, file)
        digest = file_digest(incoming, "sha256")
        incoming.replace(self._objects / digest)
        return item.key, {"etag": item.etag, "file": digest}
