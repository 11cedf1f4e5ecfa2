"""What is sent: where a photo is, or the photo itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally_client.errors import UsageError
from tally_client.models import COUNTS

BODY_LIMIT = 4 * 1024 * 1024
"""Most bytes that a photo may have as the body; by URL and from S3 the API takes more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """Where one photo is: `image_url` on the public internet, or `s3_uri` (with `version_id`) in S3. With
    `expected_count` the answer has a decision. UsageError for anything but one place and a count from 1 to 5."""

    image_url: str | None = None
    s3_uri: str | None = None
    version_id: str | None = None
    expected_count: int | None = None

    def __post_init__(self) -> None:
        if (self.image_url is None) == (self.s3_uri is None):
            raise UsageError("give a photo as image_url or s3_uri, and only as one of them")
        if self.version_id is not None and self.s3_uri is None:
            raise UsageError("version_id is the version of an object in S3; give it with s3_uri")
        for name in ("image_url", "s3_uri", "version_id"):
            if not isinstance(getattr(self, name), str | None):
                raise UsageError(f"{name} is {getattr(self, name)!r}; it must be text")
        check_expected(self.expected_count)

    def to_dict(self) -> dict[str, Any]:
        """As in the API's JSON."""
        return {name: getattr(self, name) for name in Photo.__slots__ if getattr(self, name) is not None}


def check_expected(count: int | None) -> None:
    """UsageError for an expected count that the API has no answer to."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count not in COUNTS):
        raise UsageError(f"expected_count is {count!r}; it must be a whole number from 1 to 5")


def json_body(photos: Photo | Sequence[Photo]) -> bytes:
    """The JSON of a request for one photo, or for several."""
    body = photos.to_dict() if isinstance(photos, Photo) else {"images": [photo.to_dict() for photo in photos]}
    return json.dumps(body).encode()


def read(photo: bytes | Path) -> tuple[bytes, str]:
    """A photo's bytes and media type. UsageError when it has too many bytes, is no JPEG, PNG or WebP, or cannot be
    read."""
    if isinstance(photo, Path):
        name = str(photo)
        try:
            with photo.open("rb") as file:
                content = file.read(BODY_LIMIT + 1)
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise UsageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    elif isinstance(photo, bytes | bytearray | memoryview):
        name, content = "the photo", bytes(photo)
    else:
        raise UsageError(f"photo is of type {type(photo).__name__}; give its bytes, or a pathlib.Path to its file")
    if len(content) > BODY_LIMIT:
        raise UsageError(
            f"{name} has more than {BODY_LIMIT} bytes, the most that the API takes as a body; send it smaller, or put "
            "it where image_url or s3_uri can name it"
        )
    return content, _media_type(name, content)


def _media_type(name: str, content: bytes) -> str:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise UsageError(f"{name} is no JPEG, PNG or WebP image ({len(content)} bytes)")
