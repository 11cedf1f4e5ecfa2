"""`status` against moto: what is deployed, what rings, what nobody could handle."""

import io
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from ops import predict
from ops.account import Account
from ops.errors import OpsError
from ops.runs import Run
from ops.show import packages_table, print_status, runs_table
from ops.status import Status, status
from tally_client import Health
from tests.ops.conftest import register, serve, template


def printed(now: Status) -> str:
    stream = io.StringIO()
    print_status(now, stream)
    return stream.getvalue()


def test_nothing_deployed_is_unhealthy_and_no_error(account: Account) -> None:
    now = status(account)
    assert not now.healthy
    assert "serving     not deployed" in printed(now)
    assert "endpoint: none" in printed(now)


@pytest.mark.usefixtures("group")
def test_the_model_in_service_and_alarms_of_this_environment_alone(account: Account) -> None:
    arn = register(account)
    serve(account, arn)
    cloudwatch = account.client("cloudwatch")
    for name in ("tally-dev-api-errors", "tally-develop-api-errors"):
        cloudwatch.put_metric_alarm(
            AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="5 errors in a minute")
    now = status(account)
    assert (now.model, now.alarms) == (arn, ["tally-dev-api-errors: 5 errors in a minute"])
    assert "ALARM tally-dev-api-errors: 5 errors in a minute" in printed(now)


def test_dead_letters_are_counted(account: Account) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "tally-dev-release-dead"}}
    account.client("cloudformation").create_stack(StackName="tally-dev-release", TemplateBody=template({"Dead": queue}))
    sqs = account.client("sqs")
    url = sqs.get_queue_url(QueueName="tally-dev-release-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    assert status(account).dead_letters == {"tally-dev-release-dead": 1}


class Answers:
    """Stands for the API: what it says when asked for its health."""

    def __init__(self, says: Health | Exception) -> None:
        self._says = says

    def __call__(self, _account: Account) -> Health:
        if isinstance(self._says, Exception):
            raise self._says
        return self._says


NO_MODEL = predict.PredictionError("503 no_model: no model is in service yet", 503, {"code": "no_model"})

DENIED = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetApiKey")


@pytest.mark.parametrize("released", [False, True], ids=["before the first release", "after it"])
@pytest.mark.parametrize(
    ("says", "line", "well"),
    [
        (Health("InService", "tally-dev", 1, "r"), "API: ok, tally-dev version 1, endpoint InService", (True, True)),
        (NO_MODEL, "API: 503 no_model: no model is in service yet", (True, False)),
        (predict.PredictionError("no answer from x", 0, {}), "API: no answer from x", (False, False)),
        (OpsError("stack tally-dev-api has no output"), "API: stack tally-dev-api has no output", (False, False)),
        (DENIED, "API: not asked: GetApiKey: no [AccessDeniedException]; docs/deploy.md lists", (True, True)),
    ],
    ids=["ok", "no model", "no answer", "no output", "key that may not be read"],
)
@pytest.mark.usefixtures("group")
def test_the_api_is_asked_itself_and_no_model_is_a_fault_only_after_a_release(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    says: Health | Exception,
    line: str,
    well: tuple[bool, bool],
    released: bool,
) -> None:
    topic = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "api"}}}
    account.client("cloudformation").create_stack(
        StackName="tally-dev-api", TemplateBody=template(topic, Url="https://a/v1/")
    )
    if released:
        serve(account, register(account))
    monkeypatch.setattr(predict, "health", Answers(says))
    now = status(account)
    assert line in printed(now)
    assert now.answers is well[released]


KINDS = ("data", "serving", "release", "training", "api", "operations")


@pytest.mark.parametrize(
    ("change", "healthy"),
    [
        ({}, True),
        ({"stacks": dict.fromkeys(KINDS, "UPDATE_COMPLETE") | {"serving": "UPDATE_ROLLBACK_COMPLETE"}}, True),
        ({"stacks": dict.fromkeys(KINDS, "UPDATE_COMPLETE") | {"data": "UPDATE_ROLLBACK_COMPLETE"}}, False),
        ({"stacks": dict.fromkeys(KINDS, "UPDATE_COMPLETE") | {"serving": "UPDATE_ROLLBACK_FAILED"}}, False),
        ({"alarms": ["tally-dev-a: bad"]}, False),
        ({"answers": False}, False),
        ({"dead_letters": {"tally-dev-release-dead": 1}}, False),
    ],
)
def test_health(change: dict[str, object], healthy: bool) -> None:
    good = {"stacks": dict.fromkeys(KINDS, "CREATE_COMPLETE"), "endpoint": "InService", "model": "arn:package/1",
            "api": "ok", "answers": True}  # fmt: skip
    rest = {"runs": [], "alarms": [], "dead_letters": {"tally-dev-release-dead": 0}}
    assert Status(**{**good, **rest, **change}).healthy is healthy  # type: ignore[arg-type]


@pytest.mark.usefixtures("group")
def test_tables_are_not_cut_in_a_pipe(account: Account) -> None:
    from ops.packages import packages
    from ops.show import console

    arn = register(account)
    reason = "in service since the release of the run abc123; its smoke test counted 3 objects " * 2
    account.client("sagemaker").update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription=reason.strip(),
        CustomerMetadataProperties={"verdict": "promote", "test": "exact", "gain": "0.03871", "p_value": "0.000001"},
    )
    stream = io.StringIO()
    console(stream).print(packages_table(packages(account)))
    started = datetime(2026, 11, 21, tzinfo=UTC)
    console(stream).print(runs_table([Run("arn:run/abc", "", "Failed", started, None, "gate: no [b]gain[/b]")]))
    lines = stream.getvalue().splitlines()
    assert lines[1].split()[0] == "1"
    assert "promote  exact  0.03871  1e-06  Approved  no card" in lines[1]
    assert "gate: no [b]gain[/b]" in lines[-1]
