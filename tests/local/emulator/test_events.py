"""What happens causes what it should: uploads, statuses of stacks, schedules, messages of queues, failures."""

import json
import time
import uuid
from typing import Any

import pytest

from tests.local.emulator.conftest import Account

STACK = "t-events"
BUCKET = f"{STACK}-bucket"
RULE_WITH = {
    "Resources": {
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {"EventPattern": {"source": ["tests"]}, "Targets": [{"Id": "t", "Arn": "replaced"}]},
        }
    }
}

pytestmark = pytest.mark.usefixtures("events_stack")


def kept(account: Account, prefix: str) -> list[Any]:
    """What functions put into the bucket below a prefix."""
    s3 = account.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]
    return [json.load(s3.get_object(Bucket=BUCKET, Key=key)["Body"]) for key in keys]


def received(account: Account, queue: str) -> list[str]:
    """Messages of a queue, taken out of it."""
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def gathered(account: Account, queue: str, count: int) -> list[str]:
    """The first `count` messages that arrive."""
    found: list[str] = []

    def enough() -> bool:
        found.extend(received(account, queue))
        return len(found) >= count

    account.wait_for(enough)
    return found


def test_an_upload_that_a_rule_waits_for_calls_its_targets_and_no_other_does(account: Account) -> None:
    received(account, f"{STACK}-heard")
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="photos/1.jpg", Body=b"photo")
    s3.put_object(Bucket=BUCKET, Key="photos/_SUCCESS", Body=b"")
    events = account.wait_for(lambda: kept(account, "events/Object-Created/"))
    assert [event["detail"]["object"]["key"] for event in events] == ["photos/_SUCCESS"]
    assert events[0]["detail"]["bucket"]["name"] == BUCKET
    assert "uploaded photos/_SUCCESS" in gathered(account, f"{STACK}-heard", 1)[0]


def test_every_status_of_a_stack_is_an_event_with_the_operations_token(account: Account) -> None:
    received(account, f"{STACK}-heard")
    cloudformation = account.client("cloudformation")
    topic = {"Resources": {"T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "one"}}}}
    stack = cloudformation.create_stack(StackName="status", TemplateBody=json.dumps(topic))["StackId"]
    account.settled("status")
    topic["Resources"]["T"]["Properties"] = {"DisplayName": "two"}  # type: ignore[dict-item]
    cloudformation.update_stack(StackName="status", TemplateBody=json.dumps(topic), ClientRequestToken="abcdefghij")
    account.settled("status")
    cloudformation.delete_stack(StackName="status", ClientRequestToken="the-end")
    events = [json.loads(text) for text in gathered(account, f"{STACK}-heard", 6)]
    assert {event["detail"]["stack-id"] for event in events} == {stack}
    assert {(event["source"], event["detail-type"]) for event in events} == {
        ("aws.cloudformation", "CloudFormation Stack Status Change")
    }
    told = {
        (event["detail"]["status-details"]["status"], event["detail"].get("client-request-token")) for event in events
    }
    assert told == {
        ("CREATE_IN_PROGRESS", None),
        ("CREATE_COMPLETE", None),
        ("UPDATE_IN_PROGRESS", "abcdefghij"),
        ("UPDATE_COMPLETE", "abcdefghij"),
        ("DELETE_IN_PROGRESS", "the-end"),
        ("DELETE_COMPLETE", "the-end"),
    }


def test_an_event_that_a_function_fails_on_is_tried_again_and_then_kept(account: Account) -> None:
    entry = {"Source": "tests", "DetailType": "fail", "Detail": "{}"}
    account.client("events").put_events(Entries=[entry])
    lost = json.loads(gathered(account, f"{STACK}-lost", 1)[0])
    assert lost["requestPayload"] == {"fail": True}
    assert lost["requestContext"]["condition"] == "RetriesExhausted"


def test_a_schedule_calls_its_function(account: Account) -> None:
    assert account.wait_for(lambda: kept(account, "events/schedule/"), 30)


def test_messages_come_again_until_they_are_done_or_dead(account: Account) -> None:
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{STACK}-queue")["QueueUrl"]
    entries = [
        {"Id": str(number), "MessageBody": json.dumps({"name": name, "say": name})}
        for number, name in enumerate(["now", "later", "never"])
    ]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    dead = gathered(account, f"{STACK}-dead", 1)
    s3 = account.client("s3")
    done = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="messages/")["Contents"]]
    assert done == ["messages/later-3.json", "messages/now-1.json"]
    assert json.loads(dead[0])["name"] == "never"


def test_events_of_sagemaker_reach_rules_from_its_threads(account: Account) -> None:
    events, sqs, sagemaker = account.client("events"), account.client("sqs"), account.client("sagemaker")
    queue = sqs.create_queue(QueueName="endpoint-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="endpoints", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    events.put_targets(Rule="endpoints", Targets=[{"Id": "queue", "Arn": arn}])
    role = "arn:aws:iam::123456789012:role/any"
    containers = [{"ModelPackageName": "arn:aws:sagemaker:eu-west-1:123456789012:model-package/t/1"}]
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, Containers=containers)
    sagemaker.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[{"VariantName": "v", "ModelName": "m"}]
    )
    sagemaker.create_endpoint(EndpointName="with-events", EndpointConfigName="c")
    event = json.loads(gathered(account, "endpoint-events", 1)[0])
    assert event["detail-type"] == "SageMaker Endpoint State Change"
    assert event["detail"]["EndpointName"] == "with-events"


@pytest.mark.parametrize(
    "arn",
    ["arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally", "arn:aws:logs:eu-west-1:123456789012:log-group:x"],
    ids=["pipeline", "logs"],
)
def test_a_target_that_would_never_be_called_fails_the_stack(account: Account, arn: str) -> None:
    template = json.loads(json.dumps(RULE_WITH).replace("replaced", arn))
    name = f"target-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    account.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    assert account.settled(name) == "ROLLBACK_COMPLETE"
    assert f"cannot deliver events to '{arn}'" in account.failures(name)[0]
    assert time.monotonic() - began < 10
