"""Asks the API for a count, as any client would: with the client of `clients/python`."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.names import STAGE
from ops.account import Account
from ops.errors import OpsError
from tally_client import ApiProblem, Client, Health, NoAnswer, TallyError, UnexpectedAnswer, photos
from tally_client.iam import Signer

PATH = "predictions"
_HEALTH_SECONDS = 10.0  # a person waits for the answer


@dataclass(frozen=True)
class Api:
    """Where the API is, and the key that opens it (None: requests are signed instead)."""

    url: str  # with the stage, ends with a slash
    key: str | None

    @property
    def predictions(self) -> str:
        """Address to POST to."""
        return self.url + PATH


class PredictionError(OpsError):
    """The API did not do as it was asked; `status` is HTTP's (0: no answer), `problem` its own words."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any]):
        super().__init__(message)
        self.status = status
        self.problem = problem


def api(account: Account) -> Api:
    """Where the API of this environment is. OpsError when it is not deployed."""
    outputs = account.outputs("api")
    url = outputs["Url"].rstrip("/") + "/"
    if account.endpoint_url:  # the emulator answers for all hosts at one port
        host = url.split("//", 1)[-1].split("/", 1)[0]
        url = f"{account.endpoint_url.rstrip('/')}/restapis/{host.split('.')[0]}/{STAGE}/_user_request_/"
    return Api(url, _key(account, outputs))


def client(account: Account, **options: Any) -> Client:
    """A client of this environment's API, with its key, or signing with the account's credentials; `options` are the
    client's own: timeout, retries. OpsError when the API is not deployed."""
    place = api(account)
    with _told():
        if place.key is None:
            return Client(place.url, sign=Signer(account.session, account.region), **options)
        return Client(place.url, place.key, **options)


def predict(
    account: Account,
    *,
    s3_uri: str | None = None,
    image_url: str | None = None,
    photo: bytes | Path | None = None,
    version_id: str | None = None,
    expected_count: int | None = None,
) -> dict[str, Any]:
    """The API's answer as in its JSON: count, confidence, probabilities, model, request_id, timings; with
    `expected_count` also matches, expected_probability and decision.

    PredictionError when it answers with a problem or not at all; OpsError unless exactly one of `s3_uri`, `image_url`
    and `photo` (a file, or its bytes) is given.
    """
    with client(account) as tally, _told():
        found = tally.predict(
            s3_uri=s3_uri, image_url=image_url, photo=photo, version_id=version_id, expected_count=expected_count
        )
    return found.to_dict()


def media_type(photo: Path) -> str:
    """The content type to send a photo with. OpsError when the API would not take it."""
    with _told():
        return photos.read(photo)[1]


def health(account: Account) -> Health:
    """What the API says of itself. PredictionError when it is not well: status 503 while no model is in service."""
    with client(account, timeout=_HEALTH_SECONDS) as tally, _told():
        return tally.health()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The client's errors as those of operating commands."""
    try:
        yield
    except ApiProblem as error:
        raise PredictionError(str(error), error.status, error.problem.to_dict()) from error
    except (NoAnswer, UnexpectedAnswer) as error:
        raise PredictionError(str(error), error.status if isinstance(error, UnexpectedAnswer) else 0, {}) from error
    except TallyError as error:
        raise OpsError(str(error)) from error


def _key(account: Account, outputs: Mapping[str, str]) -> str | None:
    if account.settings.api.auth == "iam":
        return None
    if "ApiKeyId" not in outputs:
        raise OpsError(
            f"stack {account.names.stack('api')} has no output ApiKeyId, and cdk.json says that "
            f"{account.environment} uses API keys; deploy it again: python -m ops deploy --env {account.environment}"
        )
    answer = account.client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)
    return str(answer["value"])
