"""Starts a run of the pipeline on the photos of one prefix of the raw bucket.

In:  EventBridge's "Object Created" of S3 for `PREFIX/_SUCCESS`, or from a person or a schedule
     {"prefix": "photos", "parameters": {"Epochs": 10}, "name": "more-photos"}, the latter two optional
Out: {"pipelineExecutionArn": "arn:...", "prefix": "photos", "revision": "0f3a..."}

The revision names the content of the prefix: same photos, same revision, and Preprocess comes from the step cache.
An event that is delivered twice starts one run. Listing takes about a minute for 500,000 photos: allow 15 minutes.

IAM: s3:ListBucket on the raw bucket; sagemaker:StartPipelineExecution on pipeline/NAME. Environment: PIPELINE_NAME,
RAW_BUCKET.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

SUCCESS_FILE = "_SUCCESS"
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,81}")
_OURS = ("InputPrefix", "InputRevision")


class TriggerError(Exception):
    """No run was started. The message says what to change."""


@dataclass(frozen=True)
class Order:
    """A run to start. `once`: what two deliveries of one event have in common, where the event itself tells."""

    prefix: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    once: str | None = None


def handler(event: Mapping[str, Any], context: object = None) -> dict[str, str]:
    """Start a run; TriggerError when the event is malformed or the prefix holds nothing."""
    pipeline, bucket = _variable("PIPELINE_NAME"), _variable("RAW_BUCKET")
    order = read_order(event, bucket)
    once = order.once or getattr(context, "aws_request_id", None)  # Lambda keeps it when it tries again
    revision = content_revision(_objects(bucket, order.prefix), order.prefix)
    if revision is None:
        raise TriggerError(f"s3://{bucket}/{order.prefix}/ holds no photos; upload them there, {SUCCESS_FILE} last")
    parameters = {**order.parameters, "InputPrefix": order.prefix, "InputRevision": revision}
    request: dict[str, Any] = {
        "PipelineName": pipeline,
        "PipelineParameters": [{"Name": name, "Value": value} for name, value in parameters.items()],
    }
    if order.name is not None:
        request["PipelineExecutionDisplayName"] = order.name
    if once is not None:
        request["ClientRequestToken"] = hashlib.sha256(once.encode()).hexdigest()
    arn = str(_client("sagemaker").start_pipeline_execution(**request)["PipelineExecutionArn"])
    answer = {"pipelineExecutionArn": arn, "prefix": order.prefix, "revision": revision}
    print(json.dumps({"event": "run started", **answer}))
    return answer


def read_order(event: Mapping[str, Any], bucket: str) -> Order:
    """Read an event of S3 or a person's; TriggerError names what is wrong with it."""
    if not isinstance(event, Mapping):
        raise TriggerError(f"the event is {event!r}; it must be an object such as {{'prefix': 'photos'}}")
    return _from_s3(event, bucket) if "detail" in event else _from_a_person(event)


def content_revision(objects: Iterable[Mapping[str, Any]], prefix: str) -> str | None:
    """Name the content of a prefix: 32 hex digits over the sorted lines `key TAB etag` of ListObjectsV2.

    The upload's `_SUCCESS` is no content. None when there is nothing else.
    """
    etags = {item["Key"]: item["ETag"].strip('"') for item in objects if item["Key"] != f"{prefix}/{SUCCESS_FILE}"}
    if not etags:
        return None
    digest = hashlib.sha256()
    for key, etag in sorted(etags.items()):
        digest.update(f"{key}\t{etag}\n".encode())
    return digest.hexdigest()[:32]


def _from_s3(event: Mapping[str, Any], bucket: str) -> Order:
    try:
        found, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
        # S3 may announce one upload twice, under two event ids but with one sequencer.
        upload = event["detail"]["object"].get("sequencer") or event["id"]
    except (KeyError, TypeError) as error:
        raise TriggerError(f"the event has a 'detail' but is no 'Object Created' of S3: {error} is missing") from error
    prefix, _, name = key.rpartition("/")
    if found != bucket or name != SUCCESS_FILE:
        raise TriggerError(f"s3://{found}/{key} starts no run; only {SUCCESS_FILE} in a prefix of {bucket} does")
    return Order(_checked_prefix(prefix), once=f"s3://{found}/{key}#{upload}")


def _from_a_person(event: Mapping[str, Any]) -> Order:
    unknown = sorted(set(event) - {"prefix", "parameters", "name"})
    if unknown:
        raise TriggerError(f"the event has unknown keys {unknown}; there are prefix, parameters and name")
    parameters = event.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise TriggerError(f"'parameters' is {parameters!r}; it must be an object such as {{'Epochs': 10}}")
    for name, value in parameters.items():
        if name in _OURS:
            raise TriggerError(f"the parameter {name} cannot be given; it follows from 'prefix'")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TriggerError(f"the parameter {name} is {value!r}; it must be a text or a number")
    display = event.get("name")
    if display is not None and (not isinstance(display, str) or not _NAME.fullmatch(display)):
        raise TriggerError(f"'name' is {display!r}; it must be up to 82 letters, digits and inner hyphens")
    prefix = _checked_prefix(event.get("prefix"))
    return Order(prefix, {name: str(value) for name, value in parameters.items()}, display)


def _checked_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise TriggerError(
            f"the prefix is {prefix!r}; it must be like photos or deliveries/2026-11: letters, digits, '.', '_', '-', "
            f"no slash at either end"
        )
    return prefix


def _objects(bucket: str, prefix: str) -> Iterable[Mapping[str, Any]]:
    pages = _client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return (item for page in pages for item in page.get("Contents", []))


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise TriggerError(f"the environment variable {name} is not set; deploy the training stack again")
    return value


@cache
def _client(service: str) -> Any:
    import boto3  # here, so that loading this file costs nothing where the client is never needed

    return boto3.client(service)
