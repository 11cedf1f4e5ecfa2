"""The function that counts, in this process, as Lambda loads and calls it. Imports nothing that Lambda would not."""

import functools
import importlib
import json
import os
import socket
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "lambda/api"
PUBLIC = "93.184.216.34"  # what the web server's name resolves to; connections to it lead to the loopback
KINDS = ("url", "s3", "body")


def load(environment: dict[str, str], port: int) -> Any:
    """The module `handler`, in which every host leads to `port` of the loopback. All its checks are made."""
    os.environ.update(environment)
    sys.path.insert(0, str(FOLDER))
    module = importlib.import_module("handler")
    fetcher = functools.partial(
        module.Fetcher, resolver=lambda *_: [PUBLIC], connector=functools.partial(connect, port)
    )
    vars(module)["Fetcher"] = fetcher
    return module


def connect(port: int, _address: str, _port: int, timeout: float) -> socket.socket:
    """A connection to the loopback, whatever the address."""
    return socket.create_connection(("127.0.0.1", port), timeout)


def event(kind: str, photo: bytes = b"", images: int = 0) -> dict[str, Any]:
    """API Gateway's proxy event of a request for a photo of one of KINDS; of a batch of so many `images`."""
    source = {"url": {"image_url": "https://photos.example/1.jpg"}, "s3": {"s3_uri": "s3://raw/photos/1.jpg"}}
    body: Any = {"images": [source[kind]] * images} if images else source.get(kind)
    media_type = "application/json" if body else "image/jpeg"
    return {
        "resource": "/predictions",
        "path": "/predictions",
        "httpMethod": "POST",
        "headers": {"Content-Type": media_type, "Host": "api.example", "User-Agent": "bench"},
        "multiValueHeaders": {"Content-Type": [media_type], "Host": ["api.example"], "User-Agent": ["bench"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "stage": "v1"},
        "body": json.dumps(body) if body else b64encode(photo).decode(),
        "isBase64Encoded": not body,
    }
