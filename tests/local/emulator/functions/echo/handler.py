"""Answers API requests and remembers events as objects of a bucket."""

import json
import os
import urllib.request
import uuid

import boto3


def handler(event, _context):
    """An API request is answered with what arrived, or with what it asks for; any other event is kept."""
    if "httpMethod" in event:
        return answer(event)
    if event.get("fail"):
        raise ValueError("told to fail")
    key = f"events/{event.get('detail-type', 'none').replace(' ', '-')}/{uuid.uuid4()}.json"
    boto3.client("s3").put_object(Bucket=os.environ["SEEN_BUCKET"], Key=key, Body=json.dumps(event))
    return {"kept": key}


def answer(event):
    """`{"say": "raise"}` fails, `{"say": "nonsense"}` is no answer, `{"say": "id"}` tells the request's id, and
    `{"say": "fetch", "url": ...}` opens a URL."""
    if event["isBase64Encoded"]:
        return {"statusCode": 200, "body": json.dumps({"base64": event["body"]})}
    if event["headers"].get("content-type", "").startswith("text/"):
        return {"statusCode": 200, "body": json.dumps({"text": event["body"]})}
    got = json.loads(event["body"])
    if got["say"] == "raise":
        raise ValueError("told to fail")
    if got["say"] == "nonsense":
        return ["no", "answer"]
    if got["say"] == "id":
        return {"statusCode": 200, "body": json.dumps({"id": event["requestContext"]["requestId"]})}
    if got["say"] == "fetch":
        try:
            with urllib.request.urlopen(got["url"], timeout=5) as opened:  # noqa: S310 - a test's own
                return {"statusCode": 200, "body": json.dumps({"length": len(opened.read())})}
        except OSError as error:
            return {"statusCode": 200, "body": json.dumps({"error": str(error)})}
    return {"statusCode": 200, "body": json.dumps({"got": got})}
