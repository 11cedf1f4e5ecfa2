"""The release road under test: both functions over moto's registry, queue and topic, and a stack one can move."""

import json
from importlib import import_module
from types import ModuleType
from typing import Any

import boto3

fakes: Any = import_module("tests.lambda.fakes")

CALLBACK = "26vcYbeWsZ"
RUN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/tally-dev/execution/7pinimwddh3a"


class Releases:
    """Drives `start` and `finish` as SQS and EventBridge do."""

    def __init__(self, start: ModuleType, finish: ModuleType, monkeypatch: Any) -> None:
        self.start, self.finish = start, finish
        self.sqs, self.sns = boto3.client("sqs"), boto3.client("sns")
        self.queue_url = self.sqs.create_queue(QueueName="tally-dev-release")["QueueUrl"]
        self._inbox = self.sqs.create_queue(QueueName="inbox")["QueueUrl"]
        topic = self.sns.create_topic(Name="tally-dev-notices")["TopicArn"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self._inbox, AttributeNames=["QueueArn"])["Attributes"]
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
        self.stack = fakes.CloudFormation()
        self.sagemaker = fakes.SageMaker(boto3.client("sagemaker"), self.stack)
        self.sagemaker.create_model_package_group(ModelPackageGroupName="tally-dev")
        self.endpoint = fakes.Runtime()
        for name, value in {
            "STACK_NAME": "tally-dev-serving",
            "ENDPOINT_NAME": "tally-dev",
            "MODEL_PACKAGE_GROUP": "tally-dev",
            "TOPIC_ARN": topic,
            "QUEUE_URL": self.queue_url,
            "BUSY_RETRY_SECONDS": "60",
            "MAX_ATTEMPTS": "5",
        }.items():
            monkeypatch.setenv(name, value)
        clients = start.Clients()
        for name, client in {
            "cloudformation": self.stack,
            "sagemaker": self.sagemaker,
            "runtime": self.endpoint,
            "sqs": self.sqs,
            "sns": self.sns,
        }.items():
            setattr(clients, name, client)
        monkeypatch.setattr(start, "clients", clients)
        monkeypatch.setattr(finish, "clients", clients)

    def register(self, approval: str = "PendingManualApproval", group: str = "tally-dev", **metadata: str) -> str:
        """A package as the pipeline registers it; its ARN."""
        return str(
            self.sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelApprovalStatus=approval,
                InferenceSpecification={
                    "Containers": [{"Image": "serve", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
                    "SupportedContentTypes": ["image/jpeg"],
                    "SupportedResponseMIMETypes": ["application/json"],
                },
                CustomerMetadataProperties={"verdict": "promote", "p_value": "0.003", **metadata},
            )["ModelPackageArn"]
        )

    def in_service(self) -> str:
        """A package that an earlier release put into service; its ARN."""
        arn = self.register("Approved", release="earlier001")
        self.stack.begin("earlier001", arn)
        self.stack.end()
        self.stack.advance(60)
        return arn

    def callback(self, arn: str, token: str = CALLBACK, run: str = RUN) -> dict[str, Any]:
        """The message of a run's Deploy step, whose token is open from now on."""
        self.sagemaker.runs.setdefault(run, "Executing")
        self.sagemaker.open_tokens.add(token)
        arguments = {"model_package_arn": arn, "model_package_group": "tally-dev"}
        return {"token": token, "pipelineExecutionArn": run, "arguments": arguments, "status": "Executing"}

    def approve(self, arn: str) -> dict[str, Any]:
        """A person approves; the event of it."""
        if self.package(arn)["ModelApprovalStatus"] == "Approved":
            self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="PendingManualApproval")
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        event: dict[str, Any] = self.sagemaker.events[-1]
        return event

    def deliver(self, body: Any, attempt: int = 1) -> bool:
        """Let SQS deliver a message; whether it is done with."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body if isinstance(body, str) else json.dumps(body))
        return self.deliver_next(attempt)

    def deliver_next(self, attempt: int = 1) -> bool:
        """Let SQS deliver what lies in the queue; it is deleted when the function is done with it."""
        (message,) = self.sqs.receive_message(QueueUrl=self.queue_url, WaitTimeSeconds=1)["Messages"]
        record = self.record(message["Body"], attempt, message["MessageId"], message["ReceiptHandle"])
        again = self.start.handler({"Records": [record]}, None)["batchItemFailures"]
        assert again in ([], [{"itemIdentifier": message["MessageId"]}])
        if not again:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return not again

    def released(self, token: str = CALLBACK) -> str:
        """A package that a run released and `finish` approved; its ARN."""
        arn = self.register()
        assert self.deliver(self.callback(arn, token))
        self.stack.advance(10)
        self.stack_ends(token=token)
        return arn

    def carried_out(self, event: dict[str, Any]) -> None:
        """A person's release, from the event to its end."""
        assert self.deliver(event)
        token = self.stack.updates[-1]["ClientRequestToken"]
        self.stack.advance(10)
        self.stack_ends(token=token)

    def record(
        self, body: Any, attempt: int = 1, message_id: str = "synthetic", receipt: str = "synthetic"
    ) -> dict[str, Any]:
        """A message as Lambda passes it to a function."""
        return {
            "messageId": message_id,
            "receiptHandle": receipt,
            "body": body if isinstance(body, str) else json.dumps(body),
            "attributes": {
                "ApproximateReceiveCount": str(attempt),
                "SentTimestamp": str(int(self.stack.now.timestamp() * 1000)),
            },
        }

    def hidden(self) -> int:
        """How many messages wait to become visible again."""
        name = "ApproximateNumberOfMessagesNotVisible"
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])["Attributes"]
        return int(attributes[name])

    def waiting(self) -> int:
        """How many messages lie in the queue."""
        name = "ApproximateNumberOfMessages"
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])["Attributes"]
        return int(attributes[name])

    def stack_ends(self, status: str = "UPDATE_COMPLETE", token: str = CALLBACK) -> None:
        """The stack comes to `status`, and EventBridge says so."""
        self.stack.end(status)
        self.tell(status, token)

    def tell(self, status: str = "UPDATE_COMPLETE", token: str | None = CALLBACK, stack: str = fakes.STACK_ID) -> None:
        """EventBridge tells of a status, perhaps again."""
        detail: dict[str, Any] = {"stack-id": stack, "status-details": {"status": status, "status-reason": ""}}
        if token is not None:
            detail["client-request-token"] = token
        self.finish.handler({"time": self.stack.now.isoformat(), "detail": detail}, None)

    def package(self, arn: str) -> dict[str, Any]:
        return dict(self.sagemaker.describe_model_package(ModelPackageName=arn))

    def notices(self) -> list[tuple[str, str]]:
        """Subject and text of every notice since the last call."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self._inbox, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                body = json.loads(message["Body"])
                found.append((body["Subject"], body["Message"]))
                self.sqs.delete_message(QueueUrl=self._inbox, ReceiptHandle=message["ReceiptHandle"])
        return found
