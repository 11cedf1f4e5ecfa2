"""Writing outputs: nobody takes half a file for a whole one, and a full disk says which path and what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tally.errors import TallyError

_REMEDIES = {
    errno.ENOSPC: "give the job a larger volume, or free space",
    errno.EDQUOT: "give the job a larger quota, or free space",
    errno.EFBIG: "raise the file size limit (ulimit -f)",
    errno.EROFS: "mount the output folder writable",
    errno.EACCES: "let the user that runs the job write to it",
    errno.EPERM: "let the user that runs the job write to it",
    errno.EEXIST: "remove the file that stands where a folder is needed",
    errno.ENOTDIR: "remove the file that stands where a folder is needed",
}


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a TallyError that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk that holds it")
        raise TallyError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error


def make_folder(path: Path) -> None:
    """Create `path` and its parents; TallyError when that is not possible."""
    with explain_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """Give the block a temporary path to write; it takes the name `path` when the block ends well, else it vanishes.

    Raises:
        TallyError: the disk is full or `path` cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    with explain_write_errors(path):
        try:
            yield temporary
            os.replace(temporary, path)  # noqa: PTH105 - the same call, and its name says that it overwrites
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """`replacing_path`, with the temporary file open for writing bytes."""
    with replacing_path(path) as temporary, temporary.open("wb") as file:
        yield file
