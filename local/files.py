"""Small file habits: atomic writes, JSON, hashes."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from local.errors import LocalError


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path` for writing and move it into place when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as readable JSON."""
    with atomic(path) as file:
        file.write(json.dumps(value, indent=1, default=str).encode() + b"\n")


def read_json(path: Path, default: Any) -> Any:
    """Read JSON, or return `default` when there is no such file; LocalError when it is damaged."""
    try:
        return json.loads(path.read_text("utf-8")) if path.exists() else default
    except ValueError as error:
        raise LocalError(f"{path} is damaged ({error}); delete {path.parent} to start over (make clean)") from error


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, in hexadecimal; dictionaries are compared by content, not by order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
