"""How an environment stands: stacks, endpoint, model in service, runs, alarms, messages nobody could handle."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.names import STACKS, VARIANT
from ops import predict, runs
from ops.account import Account
from ops.errors import OpsError, code, explained
from ops.packages import in_service
from ops.runs import Run


@dataclass(frozen=True)
class Status:
    """What `status` shows. `stacks` by kind, None where not deployed; `endpoint` None without a model; `api`: what it
    says of itself, None where not deployed, and `answers`: whether it is well, or has no model yet; `dead_letters`:
    messages by queue that nobody could handle."""

    stacks: dict[str, str | None]
    endpoint: str | None
    model: str | None
    api: str | None
    answers: bool
    runs: list[Run]
    alarms: list[str]
    dead_letters: dict[str, int]

    @property
    def healthy(self) -> bool:
        """All stacks complete, the API well, no alarm, nothing in the dead-letter queue."""
        complete = all(state and state.endswith("_COMPLETE") and "ROLLBACK" not in state for state in self.plain())
        return complete and self.answers and not self.alarms and not any(self.dead_letters.values())

    def plain(self) -> list[str | None]:
        """Stack statuses; a serving stack that went back to the former model is as good as complete."""
        return [
            "UPDATE_COMPLETE" if kind == "serving" and state == "UPDATE_ROLLBACK_COMPLETE" else state
            for kind, state in self.stacks.items()
        ]


def status(account: Account) -> Status:
    """Look at everything once."""
    stacks = account.stacks()
    model = in_service(account) if "serving" in stacks else None
    api, answers = _api(account, model) if "api" in stacks else (None, True)
    return Status(
        stacks={kind: stacks[kind]["StackStatus"] if kind in stacks else None for kind in STACKS},
        endpoint=_endpoint(account),
        model=model,
        api=api,
        answers=answers,
        runs=runs.recent(account, 3) if "training" in stacks else [],
        alarms=_alarms(account),
        dead_letters=_dead_letters(account),
    )


def _endpoint(account: Account) -> str | None:
    try:
        answer = account.client("sagemaker").describe_endpoint(EndpointName=account.names.endpoint)
    except ClientError as error:
        if code(error) in ("ValidationException", "ResourceNotFound"):
            return None
        raise
    variants = [item for item in answer.get("ProductionVariants", []) if item["VariantName"] == VARIANT]
    counts = "".join(
        f", {item.get('CurrentInstanceCount')} of {item.get('DesiredInstanceCount')} instances" for item in variants
    )
    why = answer.get("FailureReason")
    return f"{answer['EndpointStatus']}{counts}" + (f": {why}" if why else "")


def _api(account: Account, model: str | None) -> tuple[str, bool]:
    """What the API says, and whether that is well. No model before the first release is no fault, nor is that who asks
    may not read the key."""
    try:
        health = predict.health(account)
    except predict.PredictionError as error:
        return str(error), model is None and error.problem.get("code") == "no_model"
    except OpsError as error:
        return str(error), False
    except ClientError as error:
        return f"not asked: {explained(error)}", True
    return f"ok, {health.package} version {health.version}, endpoint {health.endpoint}", True


def _alarms(account: Account) -> list[str]:
    pages = account.client("cloudwatch").get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=account.names.alarm(""), StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )  # fmt: skip
    found: list[dict[str, Any]] = [
        alarm for page in pages for kind in ("MetricAlarms", "CompositeAlarms") for alarm in page.get(kind, [])
    ]
    return [f"{alarm['AlarmName']}: {alarm.get('StateReason', '')}" for alarm in found]


def _dead_letters(account: Account) -> dict[str, int]:
    sqs = account.client("sqs")
    counts = {}
    for queue in (account.names.queue(task) for task in ("release-dead", "trigger-dead")):
        try:
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        except ClientError as error:
            if code(error) in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
                continue
            raise
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        counts[queue] = int(answer["Attributes"]["ApproximateNumberOfMessages"])
    return counts
