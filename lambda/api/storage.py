"""Reads a photo from S3, from buckets of the allow-list only: the function's role must not become the caller's."""

import re
from collections.abc import Collection
from typing import Any

from fetch import MAX_BYTES, too_large
from problems import ProblemError

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.{1,1024})", re.DOTALL)
_MISSING = ("NoSuchKey", "NoSuchBucket", "404")


def read_photo(s3: Any, uri: str, buckets: Collection[str], max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of s3://BUCKET/KEY.

    ProblemError: 400 for a malformed URI, 403 for a bucket that is not allowed or may not be read, 404 for a missing
    object, 413 for too many bytes, 504 when S3 takes too long.
    """
    from botocore.exceptions import ClientError, HTTPClientError

    match = _URI.fullmatch(uri)
    if not match:
        raise ProblemError(400, "bad_uri", "s3_uri must be like s3://bucket/photos/1.jpg")
    bucket, key = match[1], match[2]
    if bucket not in buckets:
        detail = f"photos are not read from the bucket {bucket}; an operator can allow it in api.extra_buckets"
        raise ProblemError(403, "bucket_not_allowed", detail)
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > max_bytes:
            raise too_large(max_bytes)
        content: bytes = answer["Body"].read()
    except ClientError as error:
        raise _refused(error, uri) from error
    except HTTPClientError as error:
        raise ProblemError(504, "storage_timeout", "S3 did not deliver the photo in time", retry_after=1) from error
    return content


def _refused(error: Any, uri: str) -> ProblemError:
    code = error.response["Error"]["Code"]
    if code in _MISSING:
        return ProblemError(404, "object_not_found", f"there is no object {uri}")
    if code in ("AccessDenied", "403", "InvalidObjectState", "KMS.DisabledException"):
        return ProblemError(403, "object_not_readable", f"{uri} may not be read ({code})")
    return ProblemError(424, "storage_failed", f"S3 did not deliver {uri} ({code})")
