"""Takes the model out of a model.tar.gz. The archive comes from a bucket: nothing in it is trusted."""

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tally.data.delivery import DATA_FILE, PHOTOS_FILE
from tally.errors import TallyError
from tally.predictor import DESCRIPTION_FILE, MODEL_FILE, MODEL_FILES
from tally.provenance import TRAINED_ON_FILE

_OPTIONAL = {TRAINED_ON_FILE, DATA_FILE, PHOTOS_FILE, *MODEL_FILES.values()}
"""What older models do not have, or only some."""

MAX_BYTES = 4 * 1024**3
"""Unpacked size from which an archive is refused: far above any model here, below a volume."""


def unpack_model(archive: Path, directory: Path) -> Path:
    """Write `model.onnx`, `model.json` and what else Evaluate reads of `archive` into `directory`, which is returned.

    Every member is looked at first. TallyError names the archive, and the member, when it is missing or damaged, has a
    link, a device or a path that leaves the directory, lacks one of the first two, or is too large.
    """
    if not archive.is_file():
        raise TallyError(f"no model at {archive}: the step before must have written a model.tar.gz")
    directory.mkdir(parents=True, exist_ok=True)
    needed = {MODEL_FILE, DESCRIPTION_FILE}
    with _opened(archive) as tar:
        found = {name: member for name, member in _checked(archive, tar) if name in needed | _OPTIONAL}
        if needed - found.keys():
            missing = ", ".join(sorted(needed - found.keys()))
            raise TallyError(f"{archive} has no {missing}: it is not a model that Tally's training wrote")
        for name, member in found.items():
            source = tar.extractfile(member)
            if source is None:
                raise TallyError(f"{archive}: {name} is no file")
            with source, (directory / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
    return directory


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            yield tar
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise TallyError(f"{archive} cannot be unpacked ({error}): copy it again") from error


def _checked(archive: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield (normalised name, member) of every regular file, having refused what does not belong in a model."""
    total = 0
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or "\\" in member.name:
            raise TallyError(f"{archive}: {member.name!r} leaves the model's directory; refused")
        if not (member.isreg() or member.isdir()):
            raise TallyError(f"{archive}: {member.name!r} is a link or a special file; refused")
        total += member.size
        if total > MAX_BYTES:
            raise TallyError(f"{archive} unpacks to more than {MAX_BYTES} bytes; refused")
        if member.isreg():
            yield str(path), member
