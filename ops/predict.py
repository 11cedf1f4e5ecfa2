"""Asks the API for a count, as any client would."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from infra.names import STAGE
from ops.account import Account
from ops.errors import OpsError

_SECONDS = 35  # API Gateway gives up after 29
PATH = "predictions"


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
    """The API answered with a problem; `status` is HTTP's (0: no answer), `problem` the body."""

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


def predict(account: Account, *, s3_uri: str | None = None, image_url: str | None = None) -> dict[str, Any]:
    """The API's answer: count, confidence, probabilities, model, request_id.

    PredictionError when it answers with a problem. Exactly one of `s3_uri` and `image_url` is given.
    """
    if (s3_uri is None) == (image_url is None):
        raise OpsError("give --s3-uri or --image-url, and only one of them")
    place = api(account)
    body = json.dumps({"s3_uri": s3_uri} if s3_uri else {"image_url": image_url}).encode()
    headers = {"content-type": "application/json"}
    if place.key:
        headers["x-api-key"] = place.key
    else:
        signed = AWSRequest("POST", place.predictions, headers, body)
        SigV4Auth(account.session.get_credentials(), "execute-api", account.region).add_auth(signed)
        headers = dict(signed.headers)
    # A proxy on the way to the Internet is none on the way to this machine.
    handlers = [urllib.request.ProxyHandler({})] if account.endpoint_url else []
    request = urllib.request.Request(place.predictions, body, headers, method="POST")  # noqa: S310  # our own API
    return _answer(urllib.request.build_opener(*handlers), request)


def _answer(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> dict[str, Any]:
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            result: dict[str, Any] = json.loads(response.read())
            return result
    except urllib.error.HTTPError as error:
        problem = _parsed(error.read())
        detail = problem.get("detail") or problem.get("message") or error.reason
        trace = f" (request {problem['request_id']})" if "request_id" in problem else ""
        title = problem.get("title") or "the API refused"
        raise PredictionError(f"{error.code} {title}: {detail}{trace}", error.code, problem) from error
    except OSError as error:
        raise PredictionError(f"no answer from {request.full_url}: {error}", 0, {}) from error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


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
