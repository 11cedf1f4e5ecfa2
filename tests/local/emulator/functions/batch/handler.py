"""Takes messages of a queue; those that say `later` are reported as failed until their third delivery."""

import json
import os

import boto3


def handler(event, _context):
    """Report the messages that must come again; put the others' bodies into the bucket."""
    failed = []
    for record in event["Records"]:
        count = int(record["attributes"]["ApproximateReceiveCount"])
        body = json.loads(record["body"])
        if body["say"] == "never" or (body["say"] == "later" and count < 3):
            boto3.client("sqs").change_message_visibility(
                QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=1
            )
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            key = f"messages/{body['name']}-{count}.json"
            boto3.client("s3").put_object(Bucket=os.environ["SEEN_BUCKET"], Key=key, Body=json.dumps(body))
    return {"batchItemFailures": failed}
