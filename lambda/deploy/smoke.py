"""The smoke test: one photo through the endpoint, as a caller would send it."""

import json
from pathlib import Path
from typing import Any

import wording

PHOTO = Path(__file__).with_name("smoke.jpg")  # synthetic, three objects in a bin
COUNTS = range(1, 6)


class SmokeTestError(Exception):
    """The endpoint did not count the photo. The message says what it did instead."""


def smoke_test(runtime: Any, endpoint_name: str) -> int:
    """Have the photo counted and return the count; SmokeTestError when there is no answer or none that is a count.

    Which count is not judged: the gate did that on many photos.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint_name, ContentType="image/jpeg", Accept="application/json", Body=PHOTO.read_bytes()
        )
        body: bytes = answer["Body"].read()
    except ClientError as error:
        raise SmokeTestError(_refusal(error.response)) from error
    except BotoCoreError as error:
        raise SmokeTestError(f"the endpoint did not answer: {error}") from error
    try:
        count = json.loads(body)["count"]
    except (ValueError, KeyError, TypeError):
        count = None
    if isinstance(count, bool) or not isinstance(count, int) or count not in COUNTS:
        raise SmokeTestError(f"the endpoint answered {body[:200]!r} where a count from 1 to 5 should be")
    return count


def _refusal(response: dict[str, Any]) -> str:
    if "OriginalStatusCode" in response:  # ModelError: the container answered, but not 2xx
        return f"the model answered {response['OriginalStatusCode']}: {response.get('OriginalMessage', '')[:400]}"
    error = response["Error"]
    return f"the endpoint answered {error['Code']}: {wording.plain(error['Message'])}"
