"""A photo that no model was trained on: one of the test split, found again in the raw bucket."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.errors import StepError
from local.jobs.inputs import list_objects

_IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_MOST_BYTES = 6 * 1024 * 1024  # what /invocations takes


@dataclass(frozen=True)
class HeldOutPhoto:
    """A photo's id, its name below the prefix, and the count it is labelled with."""

    id: str
    name: str
    count: int


def choose_photo(s3: Any, test_uri: str, raw_uri: str, seed: int) -> HeldOutPhoto:
    """Choose one photo of the prepared test split at `test_uri`, the same for the same seed and split.

    Test photos are never in train: splits are a function of the photo's group. StepError when the split is empty, or
    none of its photos is at `raw_uri` any more in a size that an endpoint takes.
    """
    entries = {str(entry["id"]): entry for entry in _manifest(s3, test_uri)}
    if not entries:
        raise StepError(f"the test split at {test_uri} lists no photo")
    names = {}
    for item in list_objects(s3, raw_uri):
        stem, _, suffix = item.name.rpartition("/")[2].rpartition(".")
        if stem in entries and f".{suffix.lower()}" in _IMAGES and item.size <= _MOST_BYTES:
            names[stem] = item.name
    if not names:
        raise StepError(f"no photo of the test split is at {raw_uri} any more, or all are above {_MOST_BYTES} bytes")
    chosen = min(names, key=lambda photo: hashlib.sha256(f"{seed}/{photo}".encode()).hexdigest())
    return HeldOutPhoto(chosen, names[chosen], int(entries[chosen]["count"]))


def _manifest(s3: Any, test_uri: str) -> list[Mapping[str, Any]]:
    lines: list[str] = []
    for item in list_objects(s3, test_uri):
        if item.name.startswith("manifest-") and item.name.endswith(".jsonl"):
            lines += s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read().decode("utf-8").splitlines()
    return [json.loads(line) for line in lines if line]
