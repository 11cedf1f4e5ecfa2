"""Answers API requests and remembers events as objects of a bucket."""

import json
import os
import uuid

import boto3


def handler(event, _context):
    """An API request is answered with its body; any other event is kept."""
    if "httpMethod" in event:
        return {"statusCode": 200, "body": json.dumps({"got": json.loads(event["body"])})}
    if event.get("fail"):
        raise ValueError("told to fail")
    key = f"events/{event.get('detail-type', 'none').replace(' ', '-')}/{uuid.uuid4()}.json"
    boto3.client("s3").put_object(Bucket=os.environ["SEEN_BUCKET"], Key=key, Body=json.dumps(event))
    return {"kept": key}
