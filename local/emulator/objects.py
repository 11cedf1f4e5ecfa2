"""Objects of the emulated S3 for jobs, which run in its process: as they lie in memory, without a request for each."""

from ministack.core.responses import request_scope
from ministack.services import s3

from local.emulator.environment import ACCOUNT, REGION


def read(bucket: str, key: str, etag: str) -> bytes | None:
    """The bytes of an object whose ETag (without quotes) is `etag`; None where they are not in memory."""
    with request_scope(ACCOUNT, REGION):
        found = s3._buckets.get(bucket, {}).get("objects", {}).get(key, {})
    body = found.get("body")
    return body if isinstance(body, bytes) and found["etag"].strip('"') == etag else None
