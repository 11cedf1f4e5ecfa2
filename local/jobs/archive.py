"""model.tar.gz: packed the same way every time, unpacked without trust."""

import gzip
import tarfile
from pathlib import Path

from local.errors import StepError
from local.files import atomic

_LEVEL = 1  # weights hardly compress; more effort costs seconds per trial and saves nothing


def pack(folder: Path, target: Path) -> None:
    """Write all files of `folder` to `target` (.tar.gz): sorted, no times, no owners, so equal files give equal
    bytes."""
    with (
        atomic(target) as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)


def unpack(source: Path, folder: Path) -> None:
    """Unpack regular files into `folder`; StepError for a damaged archive or an entry that leaves the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(source, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StepError(f"{source.name} cannot be unpacked: {error}") from error
