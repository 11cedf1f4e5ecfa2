"""What the raw prefix holds: the public bucket's layout or class folders, with optional groups and list of photos.

    bin-images/<id>.jpg + metadata/<id>.json      label is EXPECTED_QUANTITY
    <label>/<id>.jpg                              label is the folder's name
    groups.csv                                    optional: image_id, group and perhaps source
    file_list.json                                optional: class -> list of paths; takes the photos with these stems

An id is the stem of the file, always a string: 01044 and 1044 are different photos.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tally.errors import TallyError
from tally.labels import COUNTS

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_LABELS = {str(count): count for count in COUNTS}


class RejectedError(Exception):
    """A photo that cannot be used. `reason` is one of the stable codes of report.json, `detail` says it in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Entry:
    """One photo file. `folder` is its folder below the root ("" at the root)."""

    id: str
    folder: str
    name: str

    @property
    def file(self) -> str:
        """The path below the root, as reports show it."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True)
class Source:
    """The photos of one prefix, each id once, and the files that were refused on their names alone.

    `groups` and `origins` are the columns group and source of groups.csv by id.
    """

    root: Path
    layout: str
    entries: tuple[Entry, ...]
    refused: tuple[tuple[Entry, RejectedError], ...]
    groups: Mapping[str, str]
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def label(self, entry: Entry) -> int:
        """Read the photo's label; RejectedError when there is none, or not a whole number from 1 to 5."""
        if self.layout == "bin-images":
            return _metadata_label(self.root / "metadata" / f"{entry.id}.json")
        if not entry.folder:
            raise RejectedError("label_missing", "lies outside the class folders 1 to 5")
        if entry.folder not in _LABELS:
            raise RejectedError("label_out_of_range", f"class folder {entry.folder!r} is not one of 1, 2, 3, 4, 5")
        return _LABELS[entry.folder]


def read_source(root: Path) -> Source:
    """List the photos below `root`, sorted by id.

    Raises:
        TallyError: `root` holds neither layout, or groups.csv or file_list.json cannot be used.
    """
    if not root.is_dir():
        raise TallyError(f"{root}: no such folder; mount the photos there (processing input `photos`)")
    notes: list[str] = []
    layout = "bin-images" if (root / "bin-images").is_dir() else "class folders"
    found = list(_bin_images(root, notes) if layout == "bin-images" else _class_folders(root, notes))
    wanted = _read_list(root / "file_list.json")
    there = {entry.id for entry in found}
    if wanted is not None:
        missing = len(wanted - there)
        if missing:
            notes.append(f"file_list.json names {missing} photos that are not there")
        found = [entry for entry in found if entry.id in wanted]
    if not found:
        raise TallyError(
            f"{root}: no photos found ({layout}{', after file_list.json' if wanted is not None else ''}); "
            "expected bin-images/<id>.jpg with metadata/<id>.json, or folders 1 to 5 with <id>.jpg"
        )
    found.sort(key=lambda entry: (entry.id, entry.file))
    entries, refused = _unique_ids(found)
    groups, origins = _read_groups(root / "groups.csv")
    if (root / "groups.csv").exists():
        ungrouped = sum(entry.id not in groups for entry in entries)
        if ungrouped:
            notes.append(f"groups.csv has no group for {ungrouped} photos: they are grouped by blocks of ids")
        unknown = len(groups.keys() - there)
        if unknown:
            notes.append(f"groups.csv names {unknown} photos that are not there")
    return Source(root, layout, tuple(entries), tuple(refused), groups, origins, tuple(notes))


def _files(folder: Path, root: Path, notes: list[str]) -> Iterator[Entry]:
    below = "" if folder == root else folder.name
    with os.scandir(folder) as items:
        for item in items:
            if item.name.startswith("."):
                continue
            if item.is_dir():
                if below:
                    notes.append(f"folder {below}/{item.name} is ignored: photos lie directly in {below}/")
            else:
                yield Entry(Path(item.name).stem, below, item.name)


def _bin_images(root: Path, notes: list[str]) -> Iterator[Entry]:
    ignored = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and folder.name in _LABELS)
    if ignored:
        notes.append(f"class folders {', '.join(ignored)} are ignored: the prefix has bin-images/ too")
    photos = set()
    for entry in _files(root / "bin-images", root, notes):
        photos.add(entry.id)
        yield entry
    if (root / "metadata").is_dir():
        alone = sum(entry.id not in photos for entry in _files(root / "metadata", root, notes))
        if alone:
            notes.append(f"{alone} metadata files have no photo in bin-images/")


def _class_folders(root: Path, notes: list[str]) -> Iterator[Entry]:
    folders = sorted(item for item in root.iterdir() if item.is_dir() and not item.name.startswith("."))
    if not any(folder.name in _LABELS for folder in folders):
        raise TallyError(
            f"{root}: neither bin-images/ nor a class folder 1 to 5 here, only {[folder.name for folder in folders]}; "
            "give the folder that holds them"
        )
    for folder in (root, *folders):
        for entry in _files(folder, root, notes):
            # In a class folder everything is meant to be a photo; elsewhere only what looks like one.
            if folder.name in _LABELS or Path(entry.name).suffix.lower() in PHOTO_SUFFIXES:
                yield entry


def _unique_ids(entries: list[Entry]) -> tuple[list[Entry], list[tuple[Entry, RejectedError]]]:
    """Keep one file for each id; none when they lie in different class folders, or when no text can name the file."""
    by_id: dict[str, list[Entry]] = {}
    for entry in entries:
        by_id.setdefault(entry.id, []).append(entry)
    kept: list[Entry] = []
    refused: list[tuple[Entry, RejectedError]] = []
    for same in by_id.values():
        if not same[0].id.isprintable():
            refused += [
                (entry, RejectedError("unreadable", "file name is not printable UTF-8: rename it")) for entry in same
            ]
            continue
        names = ", ".join(entry.file for entry in same)
        if len({entry.folder for entry in same}) > 1:
            refused += [
                (entry, RejectedError("conflicting_labels", f"one id, several labels: {names}")) for entry in same
            ]
        else:
            kept.append(same[0])
            refused += [(entry, RejectedError("duplicate", f"same id as {same[0].file}")) for entry in same[1:]]
    return kept, refused


def _metadata_label(path: Path) -> int:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RejectedError("metadata_missing", f"no metadata/{path.name}") from None
    except OSError as error:
        raise RejectedError("metadata_invalid", f"metadata/{path.name}: {error.strerror}") from error
    try:
        metadata = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RejectedError("metadata_invalid", f"metadata/{path.name} is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise RejectedError("metadata_invalid", f"metadata/{path.name} is not a JSON object")
    if "EXPECTED_QUANTITY" not in metadata:
        raise RejectedError("label_missing", f"metadata/{path.name} has no EXPECTED_QUANTITY")
    label = metadata["EXPECTED_QUANTITY"]
    if isinstance(label, bool) or label not in COUNTS:
        shown = json.dumps(label)[:40]
        raise RejectedError("label_out_of_range", f"EXPECTED_QUANTITY is {shown}, not a whole number from 1 to 5")
    return int(label)


def _read_list(path: Path) -> set[str] | None:
    if not path.exists():
        return None
    try:
        classes: Any = json.loads(path.read_bytes())
        return {PurePosixPath(name).stem for names in classes.values() for name in names}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise TallyError(
            f'{path}: expected JSON of the form {{"1": ["data/metadata/00001.json", ...]}} ({error})'
        ) from error


def _read_groups(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return id -> group and id -> source, each only where the cell is not empty."""
    groups: dict[str, str] = {}
    origins: dict[str, str] = {}
    if not path.exists():
        return groups, origins
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            if not {"image_id", "group"} <= set(columns):
                raise TallyError(f"{path}: needs the columns image_id and group, has {columns}; add them")
            for row in rows:
                key, group, origin = row["image_id"], row["group"], row.get("source")
                if groups.get(key, group) != group:
                    raise TallyError(
                        f"{path}: image_id {key!r} is in groups {groups[key]!r} and {group!r}; keep one line"
                    )
                if group:
                    groups[key] = group
                if origin:
                    origins[key] = origin
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TallyError(f"{path}: not readable as UTF-8 CSV ({error}); save it as CSV with a header line") from error
    return groups, origins
