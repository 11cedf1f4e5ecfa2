"""The function that counts, under test: events in, checked answers out, with S3, a web and an endpoint behind it."""

import base64
import functools
import json
from importlib import import_module
from types import ModuleType
from typing import Any

import boto3

answers: Any = import_module("tests.lambda.answers")
fakes: Any = import_module("tests.lambda.fakes")
remotes: Any = import_module("tests.lambda.remotes")

JPEG = b"\xff\xd8\xff\xe0" + b"photo" * 100
URL = f"http://{remotes.HOST}/1.jpg"
URI = "s3://raw/photos/1.jpg"
COUNTED = {
    "count": 3,
    "confidence": 0.93,
    "probabilities": {"1": 0.01, "2": 0.02, "3": 0.93, "4": 0.02, "5": 0.02},
    "model": "0f3a5c7e9b1d",
    "package": "tally-dev/7",
}
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
SETTINGS = {
    "ENVIRONMENT": "tally-dev",
    "ENDPOINT_NAME": "tally-dev",
    "S3_SOURCES": "raw/photos/,extra/",
    "ALLOW_HTTP": "true",
    "PASS_PROBABILITY": "0.8",
    "FAIL_PROBABILITY": "0.05",
}


class Predictions:
    """Drives the function as API Gateway does. `endpoint.answer` is what the model says; `photo` is behind URL."""

    def __init__(self, handler: ModuleType, monkeypatch: Any, event: dict[str, Any]) -> None:
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, value)
        self.handler = handler
        self.endpoint = fakes.Runtime()
        self.endpoint.answer = json.dumps(COUNTED).encode()
        self.photo = JPEG
        self.internet = remotes.Internet()
        self.internet.site(remotes.HOST, lambda connection, _: connection.sendall(remotes.answer(self.photo)))
        ours = {"resolver": self.internet.resolver, "connector": self.internet.connector}
        monkeypatch.setattr(handler, "Fetcher", functools.partial(handler.Fetcher, **ours))
        clients = {"s3": boto3.client("s3"), "sagemaker-runtime": self.endpoint}
        self.s3 = clients["s3"]
        monkeypatch.setattr(handler, "client", clients.__getitem__)
        self._event = event

    def put(self, key: str, content: bytes = JPEG, bucket: str = "raw") -> None:
        """Put an object into S3, and make the bucket where there is none."""
        if bucket not in {item["Name"] for item in self.s3.list_buckets()["Buckets"]}:
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def event(
        self,
        body: Any = None,
        media_type: str | None = "application/json",
        query: dict[str, str] | None = None,
        **headers: str,
    ) -> dict[str, Any]:
        """The event of a request. Bytes travel as base64, texts as they are, and anything else as JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if media_type:
            headers["content-type"] = media_type
        encoded = isinstance(body, bytes)
        if isinstance(body, bytes):
            text = base64.b64encode(body).decode()
        else:
            text = body if isinstance(body, str) else json.dumps(body)
        return {
            **self._event,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": query and {name: [value] for name, value in query.items()},
            "body": text,
            "isBase64Encoded": encoded,
        }

    def ask(self, *body: Any, context: object = None, **request: Any) -> tuple[int, Any, dict[str, str]]:
        """Send a request made by `event`: status, body and headers of the answer, which was checked."""
        return self.send(self.event(*body, **request), context)

    def send(self, event: Any, context: object = None) -> tuple[int, Any, dict[str, str]]:
        """Send an event as it is."""
        found: tuple[int, Any, dict[str, str]] = answers.check(self.handler.handler(event, context))
        return found

    def close(self) -> None:
        self.internet.close()
