"""The private `/opt/ml` of one instance."""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from local.errors import StepError
from local.files import write_json

_CONTAINER_ROOT = PurePosixPath("/opt/ml")


@dataclass(frozen=True)
class Tree:
    """A directory that stands for `/opt/ml`."""

    root: Path

    def place(self, container_path: str) -> Path:
        """Return where `/opt/ml/...` is on this machine; StepError for any other path."""
        path = PurePosixPath(container_path)
        if not path.is_relative_to(_CONTAINER_ROOT) or ".." in path.parts:
            raise StepError(f"LocalPath {container_path!r} must lie under {_CONTAINER_ROOT} to exist on the laptop")
        return self.root / path.relative_to(_CONTAINER_ROOT)

    def make(self, folders: Iterable[str]) -> None:
        """Create directories below the root."""
        for name in folders:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def write_config(self, folder: str, files: Mapping[str, Any]) -> None:
        """Write `NAME.json` files as SageMaker does before a container starts."""
        for name, value in files.items():
            write_json(self.root / folder / f"{name}.json", value)

    def read_text(self, name: str) -> str:
        """Return a file's text without surrounding space, or nothing when the job wrote no such file."""
        path = self.root / name
        return path.read_text("utf-8", "replace").strip() if path.is_file() else ""

    def remove(self) -> None:
        """Delete the tree; job outputs are in S3 and logs lie beside it."""
        shutil.rmtree(self.root, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `source` to `target`, or copy it where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
