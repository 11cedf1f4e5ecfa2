"""Reads a photo from S3, from places of the allow-list only: the function's role must not become the caller's."""

import re
from dataclasses import dataclass
from typing import Any

from bodies import read_up_to
from deadline import Deadline, in_time
from fetch import MAX_BYTES, too_large
from problems import ProblemError
from retries import PassingError, with_retries

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_URI = re.compile(rf"s3://({_BUCKET})/(.+)", re.DOTALL)
_PLACE = re.compile(rf"({_BUCKET})/(.*)", re.DOTALL)
_MAX_KEY = 1024  # bytes, a limit of S3


@dataclass(frozen=True)
class Sources:
    """Where photos may be read from: pairs of a bucket and what a key there must begin with, which may be nothing."""

    places: frozenset[tuple[str, str]]

    @classmethod
    def parse(cls, text: str) -> "Sources":
        """Read BUCKET/PREFIX,BUCKET/PREFIX,...; an empty text allows nothing. ValueError names a malformed place."""
        places = set()
        for place in text.split(",") if text else ():
            match = _PLACE.fullmatch(place)
            if not match:
                raise ValueError(
                    f"S3_SOURCES has {place!r}; each place must be like bucket/photos/, or bucket/ for all"
                )
            places.add((match[1], match[2]))
        return cls(frozenset(places))

    def allow(self, bucket: str, key: str) -> bool:
        """Whether the object is in one of the places. Keys are compared as they are: to S3 they are no paths."""
        return any(bucket == place and key.startswith(prefix) for place, prefix in self.places)


def read_photo(
    s3: Any, uri: str, version_id: str | None, sources: Sources, deadline: Deadline, max_bytes: int = MAX_BYTES
) -> bytes:
    """The bytes of s3://BUCKET/KEY, of the version if one is given, else of the newest.

    ProblemError: bad_uri, location_not_allowed (then S3 is not asked), object_not_found, object_not_readable,
    too_large (of such an object nothing is read), and storage_failed when S3 fails or the deadline passes.
    """
    bucket, key = _read_uri(uri)
    if not sources.allow(bucket, key):
        detail = f"photos are not read from {uri}; operators can allow its place in api.raw_prefixes or extra_sources"
        raise ProblemError("location_not_allowed", detail)
    wanted = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    name = f"{uri} (version {version_id})" if version_id else uri
    try:
        return in_time(lambda: with_retries(lambda: _read(s3, wanted, name, max_bytes), deadline), deadline)
    except TimeoutError as error:
        raise ProblemError("storage_failed", f"S3 did not deliver {name} in time; try again") from error


def _read_uri(uri: str) -> tuple[str, str]:
    match = _URI.fullmatch(uri)
    if not match:
        raise ProblemError("bad_uri", "s3_uri must be like s3://bucket/photos/1.jpg")
    bucket, key = match[1], match[2]
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise ProblemError("bad_uri", "the key in s3_uri has half a character (a lone surrogate)") from None
    if length > _MAX_KEY:
        raise ProblemError("bad_uri", f"the key in s3_uri has {length} bytes; S3 takes at most {_MAX_KEY}")
    if {".", ".."} & set(key.split("/")):
        # Names to S3, directions to stores and proxies that take keys for paths: those would leave the prefix.
        raise ProblemError("bad_uri", "the key in s3_uri has . or .. as a part; copy the object to another key")
    return bucket, key


def _read(s3: Any, wanted: dict[str, str], name: str, max_bytes: int) -> bytes:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        head = s3.head_object(**wanted)
    except ClientError as error:
        raise _without_head(error, wanted, name) from error
    except BotoCoreError as error:
        raise PassingError(_failed(name)) from error
    if head["ContentLength"] > max_bytes:
        raise too_large(max_bytes)
    try:
        # The object whose size is known: another one may have been put there in between.
        content = read_up_to(s3.get_object(**wanted, IfMatch=head["ETag"])["Body"], max_bytes)
    except ClientError as error:
        raise _without_get(error, name) from error
    except BotoCoreError as error:
        raise PassingError(_failed(name)) from error
    if len(content) > max_bytes:
        raise too_large(max_bytes)
    return content


def _without_head(error: Any, wanted: dict[str, str], name: str) -> Exception:
    status = _status(error)
    # 403 is what S3 says of a missing object to those who may not list the bucket, 405 of a version that is a delete
    # marker, 400 of a version id that cannot be one.
    if status in (403, 404, 405) or (status == 400 and "VersionId" in wanted):
        return ProblemError("object_not_found", f"there is no object {name}")
    if status == 400:
        return _unreadable(name)  # encrypted with a key that only the uploader has
    return _trouble(status, name)


def _without_get(error: Any, name: str) -> Exception:
    status = _status(error)
    if status in (400, 403):
        return _unreadable(name)
    if status == 404:
        return ProblemError("object_not_found", f"there is no object {name}")
    return _trouble(status, name)


def _unreadable(name: str) -> ProblemError:
    return ProblemError("object_not_readable", f"{name} exists, but may not be read: archived, or its key is closed")


def _trouble(status: int, name: str) -> Exception:
    if status in (409, 412, 429) or status >= 500:  # 412: replaced since it was looked at
        return PassingError(_failed(name))
    return _failed(name)


def _failed(name: str) -> ProblemError:
    return ProblemError("storage_failed", f"S3 did not deliver {name}; try again")


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
