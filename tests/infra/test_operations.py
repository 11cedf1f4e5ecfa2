"""The operations stack: every alarm watches something that exists, says what to do, and reaches a person."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from infra.alarms import all_alarms, operations_alarms, rollback_alarms, table
from infra.names import API_METRICS
from infra.settings import Settings, read_settings
from tests.infra.conftest import AppOf
from tests.infra.synth import ROOT, Synthesized, contexts, text
from tests.infra.templates import OTHERWISE, platform_of

# Dimensions of metrics, and the property that gives the name in the templates.
NAMED = {
    "ApiName": ("AWS::ApiGateway::RestApi", "Name"),
    "Stage": ("AWS::ApiGateway::Stage", "StageName"),
    "FunctionName": ("AWS::Lambda::Function", "FunctionName"),
    "QueueName": ("AWS::SQS::Queue", "QueueName"),
    "PipelineName": ("AWS::SageMaker::Pipeline", "PipelineName"),
    "EndpointName": ("AWS::SageMaker::Endpoint", "EndpointName"),
    "VariantName": ("AWS::SageMaker::EndpointConfig", "ProductionVariants.VariantName"),
    "Environment": ("AWS::Lambda::Function", "Environment.Variables.ENVIRONMENT"),
    "WebACL": ("AWS::WAFv2::WebACL", "VisibilityConfig.MetricName"),
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return read_settings(contexts("prod")["environments"], "prod")


def names(made: Synthesized) -> dict[str, set[str]]:
    """What the templates call things, by the dimension that names them."""
    platform = platform_of(made)
    found: dict[str, set[str]] = {}
    for dimension, (kind, path) in NAMED.items():
        values = [platform.property(node, path) for node in platform.of_type(kind)]
        found[dimension] = {item for value in values for item in (value if isinstance(value, list) else [value])}
    return found


def test_alarms_watch_what_exists(prod: Synthesized) -> None:
    """A metric under a name that nothing has is never bad: the alarm would be silent for ever."""
    known = names(prod)
    for name, alarm in prod.resources("operations", "AWS::CloudWatch::Alarm").items():
        for dimension in alarm["Dimensions"]:
            if dimension["Name"] in NAMED:
                assert dimension["Value"] in known[dimension["Name"]], name
            else:
                assert dimension in (
                    {"Name": "Rule", "Value": "ALL"},
                    {"Name": "Region", "Value": {"Ref": "AWS::Region"}},
                    {"Name": "Code", "Value": "internal_error"},
                )


def test_every_alarm_of_the_table_is_made(prod: Synthesized, settings: Settings) -> None:
    made = {item["AlarmName"]: item for item in prod.resources("operations", "AWS::CloudWatch::Alarm").values()}
    assert made.keys() == {f"tally-prod-{alarm.key}" for alarm in operations_alarms(settings)}
    for alarm in operations_alarms(settings):
        properties = made[f"tally-prod-{alarm.key}"]
        assert properties["AlarmDescription"] == f"{alarm.means} {alarm.act}"
        assert properties["Threshold"] == alarm.threshold
        assert properties["TreatMissingData"] == "notBreaching"
        assert (properties["DatapointsToAlarm"], properties["EvaluationPeriods"]) == alarm.out_of


def test_every_alarm_reaches_a_person_once(prod: Synthesized) -> None:
    """By itself, or through the composite alarm: then not by itself, so that one incident is one message."""
    composite = prod.only("operations", "AWS::CloudWatch::CompositeAlarm")
    rule = text(composite["AlarmRule"])
    assert "Notices" in text(composite["AlarmActions"][0])
    inside = set()
    for id_, alarm in prod.resources("operations", "AWS::CloudWatch::Alarm").items():
        if id_ in rule:
            inside.add(alarm["AlarmName"].removeprefix("tally-prod-"))
            assert "AlarmActions" not in alarm
        else:
            assert ["Notices" in text(action) for action in alarm["AlarmActions"]] == [True]
    assert inside == {"api-errors", "api-faults", "api-latency", "api-failed", "api-throttled", "endpoint-errors"}


def test_every_function_and_queue_has_an_alarm(prod: Synthesized) -> None:
    watched = {
        dimension["Value"]
        for alarm in prod.resources("operations", "AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] in ("FunctionName", "QueueName")
    }
    known = names(prod)
    assert watched == known["FunctionName"] | known["QueueName"]


def test_periods_are_those_that_cloudwatch_takes(settings: Settings) -> None:
    for alarm in all_alarms(settings)[1:]:
        bad, of = alarm.out_of
        assert 1 <= bad <= of
        assert alarm.minutes * of <= 24 * 60  # the longest that an alarm may look back with periods of minutes


def test_table_for_the_documentation_has_every_alarm(settings: Settings) -> None:
    rows = table(settings).splitlines()
    assert rows[0] == "| alarm | what it means | what to do |"
    assert [row.split("`")[1] for row in rows[2:]] == [f"tally-prod-{alarm.key}" for alarm in all_alarms(settings)]
    assert all(row.count("|") == 4 for row in rows)
    keys = [alarm.key for alarm in (*operations_alarms(settings), *rollback_alarms(settings))]
    assert len(keys) == len(set(keys))


def widgets(made: Synthesized) -> list[dict[str, Any]]:
    body = text(made.only("operations", "AWS::CloudWatch::Dashboard")["DashboardBody"])
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def test_dashboard_shows_what_exists(prod: Synthesized) -> None:
    known = names(prod)
    shown = set()
    for widget in widgets(prod):
        for metric in widget["properties"].get("metrics", []):
            pairs = [item for item in metric if isinstance(item, str)][2:]
            for dimension, value in zip(pairs[::2], pairs[1::2], strict=True):
                assert value in known[dimension], widget["properties"]["title"]
                shown.add((dimension, value))
    for dimension in ("ApiName", "FunctionName", "EndpointName", "PipelineName"):
        assert {value for name, value in shown if name == dimension} == known[dimension]


def test_dashboard_shows_all_alarms_and_the_access_log(prod: Synthesized) -> None:
    alarms, *_ = (widget for widget in widgets(prod) if widget["type"] == "alarm")
    assert len(alarms["properties"]["alarms"]) == 1 + len(prod.resources("operations", "AWS::CloudWatch::Alarm"))
    (query,) = (widget["properties"]["query"] for widget in widgets(prod) if widget["type"] == "log")
    (group,) = re.findall(r"SOURCE '([^']+)'", query)
    assert group in [item["LogGroupName"] for item in prod.resources("api", "AWS::Logs::LogGroup").values()]


_SAYS = """
import json
from record import Outcome, Record, internal
record = Record("1", outcomes=[Outcome("url", size=1, fetch_ms=1.0, model_ms=1.0, problem=internal(ValueError()))])
print(json.dumps(record.lines(500)))
"""


def said_by_the_function() -> set[tuple[str, str, frozenset[tuple[str, str]]]]:
    """Metrics in a line of the api function of prod, as CloudWatch reads it: namespace, name, dimensions."""
    environment = {"PYTHONPATH": str(ROOT / "lambda" / "api"), "ENVIRONMENT": "tally-prod"}
    done = subprocess.run(
        [sys.executable, "-c", _SAYS], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return {
        (directive["Namespace"], metric["Name"], frozenset((name, line[name]) for name in dimensions))
        for line in json.loads(done.stdout)
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def test_alarms_and_dashboard_look_at_what_the_api_function_says_of_itself(prod: Synthesized) -> None:
    said = said_by_the_function()
    looked_at = {
        (
            alarm["Namespace"],
            alarm["MetricName"],
            frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"]),
        )
        for alarm in prod.resources("operations", "AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == API_METRICS
    }
    metrics = [metric for widget in widgets(prod) for metric in widget["properties"].get("metrics", [])]
    for metric in metrics:
        if metric[0] == API_METRICS:
            name, *names = [item for item in metric[1:] if isinstance(item, str)]
            looked_at.add((API_METRICS, name, frozenset(zip(names[::2], names[1::2], strict=True))))
    assert looked_at <= said
    assert {name for _, name, _ in said} - {name for _, name, _ in looked_at} == {"Bytes"}  # for who asks the log
    (search,) = [item["expression"] for item, *_ in metrics if isinstance(item, dict) and API_METRICS in str(item)]
    wanted = """{Tally/Api,Environment,Code} MetricName="Rejects" Environment="tally-prod\""""
    assert search == f"SEARCH('{wanted}', 'Sum', 60)"
    assert (API_METRICS, "Rejects", frozenset({("Environment", "tally-prod"), ("Code", "internal_error")})) in said


def test_budget_warns_before_and_after(app_of: AppOf) -> None:
    budget = app_of("prod", OTHERWISE).only("operations", "AWS::Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 321, "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:tally$tally-prod"]}
    warnings = [
        (item["Notification"]["NotificationType"], item["Notification"]["Threshold"])
        for item in budget["NotificationsWithSubscribers"]
        if "Notices" in text(item["Subscribers"][0]["Address"])
    ]
    assert warnings == [("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)]


def test_what_costs_money_has_the_budgets_tag(prod: Synthesized) -> None:
    for stack, kind in (
        ("data", "AWS::S3::Bucket"),
        ("serving", "AWS::SageMaker::Endpoint"),
        ("training", "AWS::SageMaker::Pipeline"),
        ("api", "AWS::Lambda::Function"),
    ):
        for properties in prod.resources(stack, kind).values():
            assert {"Key": "tally", "Value": "tally-prod"} in properties["Tags"], kind
