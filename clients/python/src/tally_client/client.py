"""The client: requests out, dataclasses or exceptions in, with tries again where they help."""

from __future__ import annotations

import functools
import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from tally_client import photos, reading
from tally_client.errors import ApiProblem, NoAnswer, TallyError, UnexpectedAnswer, UsageError
from tally_client.models import Health, Prediction, Problem
from tally_client.photos import Photo
from tally_client.transport import Answer, Sign, Transport
from tally_client.waiting import TRANSIENT, Budget, retry_after

BATCH = 16
"""Photos in one request at most; predict_many makes as many requests as it needs."""

_log = logging.getLogger("tally_client")
Result = TypeVar("Result")


class Client:
    """The Tally API at `url` (with its stage: https://HOST/v1/).

    `api_key` opens it; where it asks for AWS signatures instead, `sign` makes them (`tally_client.iam.Signer`).
    `timeout`: seconds that a call may take, waits and tries again included (the system's resolver keeps its own time,
    and a server that trickles out its headers can take longer). `retries`: further tries after 429, 502, 503, 504 and
    broken connections; Retry-After is kept, and where it is longer than what is left of the timeout, the problem is
    raised at once. No redirect is followed. HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured. One client may be
    used by many threads.

    Raises TallyError: UsageError (a ValueError) before anything is sent, ApiProblem for the API's answer, NoAnswer
    and UnexpectedAnswer where none of it came.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        sign: Sign | None = None,
        timeout: float = 30.0,
        retries: int = 3,
    ):
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not (0 < timeout <= 3600):
            raise UsageError(f"timeout is {timeout!r}; it must be a number of seconds above 0, at most 3600")
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise UsageError(f"retries is {retries!r}; it must be 0 or a positive whole number")
        self._transport = Transport.make(url, api_key, sign)
        self._timeout = float(timeout)
        self._retries = retries

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r}, timeout={self._timeout:g}, retries={self._retries})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The API's address, with a slash at its end."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections that are kept. The client may be used on; it then opens new ones."""
        self._transport.close()

    def predict(
        self,
        *,
        image_url: str | None = None,
        s3_uri: str | None = None,
        photo: bytes | Path | None = None,
        version_id: str | None = None,
        expected_count: int | None = None,
        idempotency_key: str | None = None,
    ) -> Prediction:
        """Count the objects in one photo: at `image_url`, at `s3_uri` (of `version_id`), or `photo` itself.

        Exactly one of the three is given; `photo` is a file's bytes or path, JPEG, PNG or WebP, at most BODY_LIMIT
        bytes. With `expected_count` (1 to 5) the answer has `matches`, `expected_probability` and `decision`.
        `idempotency_key` is any text of yours; it goes with every try, and the API sends it back.
        """
        if [image_url, s3_uri, photo].count(None) != 2:
            raise UsageError("give one of image_url, s3_uri and photo, and only one")
        headers = _idempotency(idempotency_key)
        path = "predictions"
        if photo is None:
            place = Photo(image_url=image_url, s3_uri=s3_uri, version_id=version_id, expected_count=expected_count)
            body, headers["content-type"] = photos.json_body(place), "application/json"
        else:
            photos.check_expected(expected_count)
            if version_id is not None:
                raise UsageError("version_id is the version of an object in S3; give it with s3_uri")
            body, headers["content-type"] = photos.read(photo)
            path += "" if expected_count is None else f"?expected_count={expected_count}"
        return self._call("POST", path, reading.prediction, headers, body)

    def predict_many(self, where: Iterable[Photo]) -> list[Prediction | Problem]:
        """Count the objects in any number of photos; a Prediction or a Problem for each, in their order.

        They are sent 16 at a time, each request with a timeout of its own. Where a request fails as a whole, its
        exception has what came before in `results`. A Problem of one photo is not tried again here: the API has done
        so as long as its time allowed.
        """
        asked = list(where)
        for item in asked:
            if not isinstance(item, Photo):
                raise UsageError(f"predict_many takes Photos, not {type(item).__name__}; a photo itself: predict")
        found: list[Prediction | Problem] = []
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            headers = {"content-type": "application/json"}
            try:
                parse = functools.partial(reading.results, photos=len(batch))
                found += self._call("POST", "predictions", parse, headers, photos.json_body(batch))
            except TallyError as error:
                error.results = tuple(found)
                raise
        return found

    def health(self) -> Health:
        """Whether photos can be counted, and by which model. ApiProblem with code no_model while none is in service."""
        return self._call("GET", "health", reading.health)

    def openapi(self) -> dict[str, Any]:
        """The API's own description, OpenAPI 3.1."""
        return self._call("GET", "openapi.json", reading.document)

    def _call(
        self,
        method: str,
        path: str,
        parse: Callable[[Any], Result],
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Result:
        budget = Budget(self._timeout, self._retries)
        while True:
            try:
                return self._try(method, path, parse, headers or {}, body, budget)
            except (ApiProblem, NoAnswer, UnexpectedAnswer) as error:
                if not (error.transient if isinstance(error, NoAnswer) else error.status in TRANSIENT):
                    raise
                seconds = budget.wait(error.retry_after if isinstance(error, ApiProblem) else None)
                if seconds is None:
                    if budget.tries > 1:
                        error.add_note(f"tried {budget.tries} times")
                    raise
                _log.info("%s; try %d in %.2f s", error, budget.tries, seconds)
                time.sleep(seconds)

    def _try(
        self,
        method: str,
        path: str,
        parse: Callable[[Any], Result],
        headers: dict[str, str],
        body: bytes | None,
        budget: Budget,
    ) -> Result:
        answer = self._transport.exchange(method, path, headers, body, budget)
        if answer.status == 200:
            try:
                return parse(json.loads(answer.body))
            except (ValueError, RecursionError) as error:
                raise self._unexpected(path, answer, f"but not as its document says: {error}") from error
        if answer.status < 400:
            raise self._unexpected(path, answer, "which this API never does; is url its address, with the stage?")
        try:
            problem = reading.problem(json.loads(answer.body), answer.status)
        except (ValueError, RecursionError) as error:
            why = "without a problem of the Tally API; what answered may be a proxy, or url may lack the stage"
            raise self._unexpected(path, answer, why) from error
        raise ApiProblem(problem, retry_after(answer.headers.get("retry-after")))

    def _unexpected(self, path: str, answer: Answer, why: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"{self.url}{path} answered {answer.status}, {why}", answer.status)


def _idempotency(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not isinstance(key, str) or not re.fullmatch(r"[!-~]{1,255}", key):
        raise UsageError(f"idempotency_key is {key!r}; it must be 1 to 255 printable ASCII characters without a space")
    return {"idempotency-key": key}
