"""What callers send to the API, the good and the hostile: requests of every kind with the answer each must get."""

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.emulator.internet import sites

JSON = {"content-type": "application/json"}
JPEG = {"content-type": "image/jpeg"}
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Place:
    """An API and photos that it can count: `keys` of the bucket, `photo` one of them. `url` ends with a slash.

    `decodes`: the model's server looks at photos; a stand-in takes any bytes.
    """

    url: str
    key: str
    bucket: str
    keys: tuple[str, ...]
    photo: bytes
    decodes: bool = True


@dataclass(frozen=True)
class Request:
    """One request; `path` is relative to the API's address, `key` None leaves the header out."""

    path: str = "predictions"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    key: str | None = "right"


@dataclass(frozen=True)
class Kind:
    """Requests of one kind. `make(n)` is the n-th; `status` and `code` the answer's, `items` the statuses in a batch.

    `share`: how often it is sent, in relation to others. `slow`: the API waits for its time to be up.
    """

    name: str
    make: Callable[[int], Request]
    status: int = 200
    code: str | None = None
    items: tuple[int, ...] | None = None
    share: int = 1
    slow: bool = False

    def complaint(self, status: int, content_type: str, body: bytes) -> str | None:
        """What is wrong with an answer; None: nothing."""
        if status != self.status:
            return f"answered {status} instead of {self.status}: {body[:300]!r}"
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            return f"answered {status} with what is no JSON object: {body[:300]!r}"
        if status >= 400 and (content_type != "application/problem+json" or not answer.get("request_id")):
            return f"answered {status} without a whole problem: {content_type} {body[:300]!r}"
        if self.code and answer.get("code") != self.code:
            return f"answered {answer.get('code')} instead of {self.code}: {body[:300]!r}"
        found = tuple(result.get("status") for result in answer.get("results", ()))
        if self.items and found != self.items:
            return f"answered {found} instead of {self.items}: {body[:1000]!r}"
        return None


def good(place: Place) -> list[Kind]:
    """Requests that are answered with counts."""
    in_s3 = [f"s3://{place.bucket}/{key}" for key in place.keys]
    by_url = [f"https://{sites.PHOTOS}/{place.bucket}/{key}" for key in place.keys]
    moved = [f"https://{sites.PHOTOS}/moved/3/{place.bucket}/{key}" for key in place.keys]

    def one(addresses: list[str], member: str) -> Callable[[int], Request]:
        return lambda n: _json({member: addresses[n % len(addresses)], "expected_count": n % 5 + 1})

    def batch(size: int) -> Callable[[int], Request]:
        images = [
            {"s3_uri": in_s3[n % len(in_s3)]} if n % 2 else {"image_url": by_url[n % len(by_url)]} for n in range(size)
        ]
        return lambda _n: _json({"images": images})

    broken = [
        {"image_url": by_url[0]},
        {"image_url": sites.HOSTILE[0].url},
        {"s3_uri": f"s3://{place.bucket}/photos/no"},
    ]
    return [
        Kind("photo as body", lambda _n: Request(body=place.photo, headers=JPEG), share=20),
        Kind(
            "photo as body, with expected count",
            lambda n: Request(
                f"predictions?expected_count={n % 5 + 1}", place.photo, JPEG | {"idempotency-key": str(n)}
            ),
            share=20,
        ),
        Kind("photo in S3", one(in_s3, "s3_uri"), share=20),
        Kind("photo by URL", one(by_url, "image_url"), share=20),
        Kind("photo by URL after 3 redirects", one(moved, "image_url"), share=5),
        Kind("batch of 4", batch(4), items=(200,) * 4, share=3),
        Kind("batch of 16", batch(16), items=(200,) * 16, share=1),
        Kind("batch, two of three fail", lambda _n: _json({"images": broken}), items=(200, 404, 404), share=2),
        Kind("health", lambda _n: Request("health", method="GET"), share=5),
        Kind("document", lambda _n: Request("openapi.json", method="GET"), share=2),
    ]


def hostile(place: Place) -> list[Kind]:
    """Requests that are refused, each with its status and code."""
    photo_url = f"https://{sites.PHOTOS}/{place.bucket}/{place.keys[0]}"
    bad = ("bad_request", 400)

    def refused(name: str, request: Request, code: str, status: int) -> Kind:
        return Kind(name, lambda _n: request, status, code)

    damaged = (
        refused("damaged PNG", Request(body=_damaged_png(), headers={"content-type": "image/png"}), "undecodable", 422),
        refused("thousands of scans", Request(body=_many_scans(place.photo), headers=JPEG), "undecodable", 422),
    )
    return [
        refused("wrong key", Request(body=place.photo, headers=JPEG, key="wrong"), "forbidden", 403),
        refused("no key", Request(body=place.photo, headers=JPEG, key=None), "forbidden", 403),
        refused("unknown path", Request("admin", method="GET"), "forbidden", 403),
        refused("unknown method", Request(method="DELETE"), "forbidden", 403),
        refused("no JSON", Request(body=b'{"image_url": ', headers=JSON), *bad),
        refused("deep JSON", Request(body=b"[" * 5000, headers=JSON), *bad),
        refused("not by the schema", _json({"image_url": photo_url, "s3_uri": "s3://a/b"}), *bad),
        refused("unknown member", _json({"image_url": photo_url, "debug": True}), *bad),
        refused("17 photos", _json({"images": [{"image_url": photo_url}] * 17}), *bad),
        refused("unknown parameter", Request("predictions?debug=1", place.photo, JPEG), *bad),
        refused("count of nine", Request("predictions?expected_count=9", place.photo, JPEG), *bad),
        refused("key of blanks", Request(body=place.photo, headers=JPEG | {"idempotency-key": "a b"}), *bad),
        refused("photo of 5 MiB", Request(body=place.photo + bytes(5 * _MIB), headers=JPEG), "too_large", 413),
        refused("body of 11 MiB", Request(body=bytes(11 * _MIB), headers=JPEG), "too_large", 413),
        refused("text as photo", Request(body=b"hello" * 100, headers=JPEG), "not_an_image", 415),
        *(damaged if place.decodes else ()),
        refused("XML", Request(body=b"<x/>", headers={"content-type": "text/xml"}), "unsupported_media_type", 415),
        refused("bucket of others", _json({"s3_uri": "s3://somebody-elses/photos/a.jpg"}), "location_not_allowed", 403),
        refused("other prefix", _json({"s3_uri": f"s3://{place.bucket}/secrets/a.jpg"}), "location_not_allowed", 403),
        refused("missing object", _json({"s3_uri": f"s3://{place.bucket}/photos/none.jpg"}), "object_not_found", 404),
        *(
            Kind(item.what, _constant(_json({"image_url": item.url})), item.status, item.code)
            for item in sites.WRONG_NAMES
        ),
        *(
            Kind(
                f"remote {item.what}", _constant(_json({"image_url": item.url})), item.status, item.code, slow=item.slow
            )
            for item in sites.HOSTILE
        ),
    ]


def _damaged_png() -> bytes:
    """A black PNG of which one byte of pixels was changed; its checksum tells."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = chunk(b"IDAT", zlib.compress(bytes(64 * (1 + 3 * 64)), 0))
    damaged = pixels[:1000] + b"\xff" + pixels[1001:]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + damaged + chunk(b"IEND", b"")


def _many_scans(jpeg: bytes) -> bytes:
    """`jpeg` with 5,000 more scans before its end, each of them empty."""
    sound, end, behind = jpeg.rpartition(b"\xff\xd9")
    return sound + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 5000 + end + behind


def _json(value: Any) -> Request:
    return Request(body=json.dumps(value).encode(), headers=JSON)


def _constant(request: Request) -> Callable[[int], Request]:
    return lambda _n: request
