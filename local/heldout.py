"""A photo that no model was trained on: one of the test split, found again in the raw bucket."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.errors import StepError
from local.jobs.inputs import list_objects

_IMAGES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class HeldOutPhoto:
    """A photo's id, its name in the bucket, its bytes and the count it is labelled with."""

    id: str
    name: str
    content: bytes
    count: int


def choose_photo(s3: Any, test_uri: str, raw_uri: str, seed: int) -> HeldOutPhoto:
    """Choose one photo of the prepared test split at `test_uri`, the same for the same seed and split.

    Test photos are never in train: splits are a function of the photo's group. StepError when there is none.
    """
    entries = _manifest(s3, test_uri)
    if not entries:
        raise StepError(f"the test split at {test_uri} lists no photo")
    chosen = min(entries, key=lambda entry: hashlib.sha256(f"{seed}/{entry['id']}".encode()).hexdigest())
    for item in list_objects(s3, raw_uri):
        stem, _, suffix = item.name.rpartition("/")[2].rpartition(".")
        if stem == chosen["id"] and f".{suffix.lower()}" in _IMAGES:
            content = s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read()
            return HeldOutPhoto(str(chosen["id"]), item.name, content, int(chosen["count"]))
    raise StepError(f"photo {chosen['id']} of the test split is not at {raw_uri} any more")


def _manifest(s3: Any, test_uri: str) -> list[Mapping[str, Any]]:
    lines: list[str] = []
    for item in list_objects(s3, test_uri):
        if item.name.startswith("manifest-") and item.name.endswith(".jsonl"):
            lines += s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read().decode("utf-8").splitlines()
    return [json.loads(line) for line in lines if line]
