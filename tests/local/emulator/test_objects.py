"""Objects in the memory of ministack, in this process."""

import asyncio
import hashlib

from ministack.core.responses import request_scope
from ministack.services import s3

from local.emulator import objects
from local.emulator.environment import ACCOUNT, REGION


def put(path: str, body: bytes = b"") -> None:
    with request_scope(ACCOUNT, REGION):
        status, *_ = asyncio.run(s3.handle_request("PUT", path, {}, body, {}))
    assert status == 200


def test_an_object_is_read_from_memory_when_it_is_the_one_that_was_listed() -> None:
    put("/objects-test")
    put("/objects-test/a", b"one")
    etag = hashlib.md5(b"one", usedforsecurity=False).hexdigest()
    assert objects.read("objects-test", "a", etag) == b"one"
    put("/objects-test/a", b"two")
    assert objects.read("objects-test", "a", etag) is None
    assert objects.read("objects-test", "b", etag) is None
    assert objects.read("no-such-bucket", "a", etag) is None
