"""Brings a directory of photos into the raw bucket, as somebody's upload would, and names its content.

The photos stay where they are: the emulated S3 refers to the files (see `filekeys`). An index of path, size and time
saves reading them again just to know their ETag.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.filekeys import FileObjects, StoredObject
from local.files import file_digest, read_json, write_json

_LAYOUT = "expected bin-images/<id>.jpg with metadata/<id>.json, or one folder per count (1/ to 5/) with photos in it"
_IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_EXTRAS = ("groups.csv", "file_list.json")
_THREADS = 4


@dataclass(frozen=True)
class Upload:
    """What an upload did. `revision` names the content: it changes when a key or an object's bytes do."""

    objects: int
    changed: int
    removed: int
    revision: str


def upload_photos(
    source: Path,
    objects: FileObjects,
    *,
    bucket: str,
    prefix: str,
    index: Path,
    groups: Path | None = None,
    listing: Path | None = None,
) -> Upload:
    """Make `s3://bucket/prefix/` hold what `source` holds, with `groups` and `listing` as its groups.csv and
    file_list.json.

    LocalError when `source` is missing, empty or of another layout.
    """
    files = {f"{prefix}/{name}": path for name, path in _files(source)}
    for name, extra in zip(_EXTRAS, (groups, listing), strict=True):
        if extra is not None:
            files[f"{prefix}/{name}"] = _existing(extra, name)
    etags = _etags(files, index)
    before = {o.key: o for o in objects.stored() if o.bucket == bucket and o.key.startswith(f"{prefix}/")}
    changed = 0
    for key, path in files.items():
        old = before.pop(key, None)
        status = path.stat()
        if old is None or old.etag != etags[key] or old.file != path:
            changed += old is None or old.etag != etags[key]
            objects.put(StoredObject(bucket, key, etags[key], status.st_size, status.st_mtime, path))
    for key in before:
        objects.remove(bucket, key)
    return Upload(len(files), changed, len(before), revision(etags))


def revision(etags: dict[str, str]) -> str:
    """Return a name for a prefix's content: a hash over the sorted pairs of key and ETag."""
    lines = "".join(f"{key}\t{etag}\n" for key, etag in sorted(etags.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    if not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise LocalError(f"the data directory {source} {what}; give a directory with photos: {_LAYOUT}")
    root = source.resolve()
    found = []
    photos = 0
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        for entry in os.scandir(folder):
            if entry.is_file() and not entry.name.startswith("."):
                found.append((f"{folder.name}/{entry.name}", Path(entry.path)))
                photos += entry.name.lower().endswith(_IMAGES)
    if not photos:
        raise LocalError(f"the data directory {source} holds no photos in its folders; {_LAYOUT}")
    found += [(name, root / name) for name in _EXTRAS if (root / name).is_file()]
    yield from sorted(found)


def _existing(path: Path, name: str) -> Path:
    if not path.is_file():
        raise LocalError(f"{path} was given as {name} and is not a file; give the path of an existing file")
    return path.resolve()


def _etags(files: dict[str, Path], index: Path) -> dict[str, str]:
    """MD5 of each file (S3's ETag of an object put in one piece), from the index where size and time still agree."""
    known: dict[str, list[object]] = read_json(index, {})
    fresh: dict[str, list[object]] = {}

    def look(path: Path) -> None:
        status = path.stat()
        signature: list[object] = [status.st_size, status.st_mtime_ns]
        old = known.get(str(path))
        md5 = old[2] if old and old[:2] == signature else file_digest(path, "md5")
        fresh[str(path)] = [*signature, md5]

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(look, set(files.values())))
    write_json(index, fresh)
    return {key: str(fresh[str(path)][2]) for key, path in files.items()}
