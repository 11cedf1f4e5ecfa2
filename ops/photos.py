"""A directory of photos as it is uploaded: which files belong to it, under which names."""

import os
from pathlib import Path

from ops.errors import OpsError

LAYOUT = "expected bin-images/<id>.jpg with metadata/<id>.json, or one folder per count (1/ to 5/) with photos in it"
_IMAGES = (".jpg", ".jpeg", ".png", ".webp")
GROUPS_FILE = "groups.csv"  # which photos show the same bin
LISTING_FILE = "file_list.json"  # a subset: count to paths


def photo_files(source: Path, groups: Path | None = None, listing: Path | None = None) -> dict[str, Path]:
    """Files of `source` by name, sorted; `groups` and `listing` take the places of its groups.csv and file_list.json.

    OpsError when `source` is missing, holds no photos, or an extra file does not exist.
    """
    if not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise OpsError(f"the data directory {source} {what}; give a directory with photos: {LAYOUT}")
    found: dict[str, Path] = {}
    photos = 0
    for folder in sorted(entry for entry in source.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    _check_name(entry)
                    found[f"{folder.name}/{entry.name}"] = Path(entry.path)
                    photos += entry.name.lower().endswith(_IMAGES)
    if not photos:
        raise OpsError(f"the data directory {source} holds no photos in its folders; {LAYOUT}")
    check_extras(groups, listing)
    for name, extra in ((GROUPS_FILE, groups), (LISTING_FILE, listing)):
        if extra is not None or (source / name).is_file():
            found[name] = extra or source / name
    return dict(sorted(found.items()))


def check_extras(groups: Path | None, listing: Path | None) -> None:
    """OpsError when one of the files that take the places of groups.csv and file_list.json does not exist."""
    for name, extra in ((GROUPS_FILE, groups), (LISTING_FILE, listing)):
        if extra is not None and not extra.is_file():
            raise OpsError(f"{extra} was given as {name} and is not a file; give the path of an existing file")


def left_out(source: Path) -> list[str]:
    """Photos that `photo_files` does not take, by name: beside the folders, in folders below those, dead links."""
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        depth = len(Path(folder).relative_to(source).parts)
        for name in sorted(names):
            path = Path(folder, name)
            taken = depth == 1 and path.is_file()
            if name.lower().endswith(_IMAGES) and not name.startswith(".") and not taken:
                found.append(str(path.relative_to(source)))
    return found


def _check_name(entry: "os.DirEntry[str]") -> None:
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        raise OpsError(
            f"the file name {os.fsencode(entry.path)!r} is no UTF-8 text, as S3 wants it; rename it"
        ) from error
