"""What the release functions are told by their environment variables, and the AWS clients they share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Environment:
    """Names of one environment's release; `busy_retry_seconds` and `max_attempts` matter to `start` only."""

    stack_name: str
    endpoint_name: str
    group: str
    topic_arn: str
    queue_url: str
    busy_retry_seconds: int
    max_attempts: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Read the variables; ValueError names the one that is missing or no number."""
        return cls(
            stack_name=_text(variables, "STACK_NAME"),
            endpoint_name=_text(variables, "ENDPOINT_NAME"),
            group=_text(variables, "MODEL_PACKAGE_GROUP"),
            topic_arn=_text(variables, "TOPIC_ARN"),
            queue_url=_text(variables, "QUEUE_URL"),
            busy_retry_seconds=_number(variables, "BUSY_RETRY_SECONDS", 60),
            max_attempts=_number(variables, "MAX_ATTEMPTS", 120),
        )


class Clients:
    """boto3 clients, each made when it is first used: importing boto3 takes longer than the rest of a cold start."""

    @cached_property
    def cloudformation(self) -> Any:
        return _client("cloudformation")

    @cached_property
    def sagemaker(self) -> Any:
        return _client("sagemaker")

    @cached_property
    def runtime(self) -> Any:
        return _client("sagemaker-runtime", read_timeout=20)  # an endpoint slower than this is not fit for service

    @cached_property
    def sqs(self) -> Any:
        return _client("sqs")

    @cached_property
    def sns(self) -> Any:
        return _client("sns")


def log(event: str, **fields: object) -> None:
    """Write one line of JSON to the function's log. Callback tokens are let in with their first letters only."""
    print(json.dumps({"event": event, **fields}, default=str))


def short(token: str) -> str:
    """A callback token as logs may show it: who knows all of it could answer for the pipeline step."""
    return f"{token[:4]}..." if len(token) <= 10 else token


def _client(service: str, read_timeout: int = 15) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=5, read_timeout=read_timeout, retries={"mode": "standard", "total_max_attempts": 4})
    return boto3.client(service, config=config)


def _text(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "")
    if not value:
        raise ValueError(f"the environment variable {name} is not set; deploy the release stack again")
    return value


def _number(variables: Mapping[str, str], name: str, default: int) -> int:
    value = variables.get(name, str(default))
    if not value.isdecimal() or not 0 < int(value) <= 43_200:  # SQS hides a message for 12 hours at most
        raise ValueError(f"the environment variable {name} is {value!r}; it must be a number from 1 to 43200")
    return int(value)
