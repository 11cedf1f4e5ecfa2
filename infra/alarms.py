"""Every alarm: what it watches, what it means and what to do; stacks and docs/operations.md are made from this table.

Nothing here needs aws_cdk. Names of what is watched are fixed (`infra.names`), so an alarm needs no reference to it.
"""

from infra.alarm import REGION, Alarm, endpoint_alarm, function_alarm
from infra.names import API_METRICS, STAGE
from infra.settings import Settings

USERS_AFFECTED = Alarm(  # composite: its metric fields are those of no metric
    key="users-affected",
    means="People who call the API get errors or wait too long.",
    act="Open the dashboard, see which of the alarms below it fired, and do what that one says.",
    namespace="",
    metric="",
    dimensions={},
    statistic="Sum",
    threshold=0,
)


def rollback_alarms(settings: Settings) -> tuple[Alarm, ...]:
    """Alarms that roll a release back while it is shifted. They watch the new instances only (the serving stack adds
    the dimension EndpointConfigName): a model in service that fails must not stop its own replacement."""
    release = "The release is rolled back by itself and its package rejected with the reason; the old model serves on."
    look = "Read the endpoint's log, then fix the model or its container and release again."
    return (
        endpoint_alarm(
            settings,
            key="rollback-errors",
            means="More than 1% of requests to a newly released model end in a server error (5xx).",
            act=f"{release} {look}",
            metric="Invocation5XXErrors",
            threshold=0.01,
            out_of=(2, 3),
        ),
        endpoint_alarm(
            settings,
            key="rollback-latency",
            means=f"A newly released model takes more than {settings.serving.latency_alarm_ms} ms on average.",
            act=f"{release} Choose a smaller backbone or a larger instance type, or raise serving.latency_alarm_ms.",
            metric="ModelLatency",
            threshold=settings.serving.latency_alarm_ms * 1000.0,  # the metric is in microseconds
            out_of=(2, 3),
        ),
        endpoint_alarm(
            settings,
            key="rollback-unhealthy",
            means="More than 5% of requests to a newly released model get no good answer: errors, broken connections "
            "or time-outs.",
            act=f"{release} {look}",
            metric="InvocationModelErrors",
            threshold=0.05,  # higher than for 5xx: this metric also counts 4xx, that is broken photos of callers
            out_of=(2, 3),
        ),
    )


def operations_alarms(settings: Settings) -> tuple[Alarm, ...]:
    """Alarms of day-to-day operation."""
    return (*_api(settings), *_serving(settings), *_functions(settings), *_queues(settings), _pipeline(settings))


def all_alarms(settings: Settings) -> tuple[Alarm, ...]:
    """Everything that can fire, in the order of the documentation."""
    return (USERS_AFFECTED, *operations_alarms(settings), *rollback_alarms(settings))


def table(settings: Settings) -> str:
    """The alarms as a Markdown table for docs/operations.md."""
    prefix = settings.names.alarm("")
    rows = [f"| `{prefix}{alarm.key}` | {alarm.means} | {alarm.act} |" for alarm in all_alarms(settings)]
    return "\n".join(["| alarm | what it means | what to do |", "|---|---|---|", *rows])


def _api(settings: Settings) -> tuple[Alarm, ...]:
    stage = {"ApiName": settings.names.base, "Stage": STAGE}
    return (
        Alarm(
            key="api-errors",
            means="More than 1% of API requests end in a server error (5xx).",
            act="See whether the endpoint's alarms or the api function's fired too; search the access log by status, "
            "then the function's log by requestId.",
            namespace="AWS/ApiGateway",
            metric="5XXError",
            dimensions=stage,
            statistic="Average",
            threshold=0.01,
            minutes=5,
            out_of=(2, 3),
            harms_users=True,
        ),
        Alarm(
            key="api-faults",
            means="The api function answered internal_error, which is no fault of the caller, the remote or the model.",
            act="Search the function's log for internal_error: the line names the cause and the request. It is a bug, "
            "or a variable that the deployment did not set.",
            namespace=API_METRICS,
            metric="Rejects",
            dimensions={"Environment": settings.names.base, "Code": "internal_error"},
            statistic="Sum",
            threshold=0,
            minutes=5,
            harms_users=True,
        ),
        Alarm(
            key="api-latency",
            means="One API request in twenty takes longer than 10 s.",
            act="Compare the endpoint's latency with the API's on the dashboard: if the endpoint is fast, the "
            "addresses that callers name are slow; if not, raise serving.max_instances.",
            namespace="AWS/ApiGateway",
            metric="Latency",
            dimensions=stage,
            statistic="p95",
            threshold=10_000,
            minutes=5,
            out_of=(3, 3),
            harms_users=True,
        ),
        Alarm(
            key="api-blocked",
            means="The firewall blocked more than 500 requests in five minutes.",
            act="Read the firewall's log: an attack needs nothing more; if it blocks an honest client, see which rule, "
            "and raise api.requests_per_ip or except that rule in infra/constructs/firewall.py.",
            namespace="AWS/WAFV2",
            metric="BlockedRequests",
            dimensions={"WebACL": settings.names.base, "Rule": "ALL", "Region": REGION},
            statistic="Sum",
            threshold=500,
            minutes=5,
        ),
    )


def _serving(settings: Settings) -> tuple[Alarm, ...]:
    return (
        endpoint_alarm(
            settings,
            key="endpoint-errors",
            means="More than 1% of requests to the endpoint end in a server error (5xx).",
            act="Read the endpoint's log. If it began with a release, go back: make rollback.",
            metric="Invocation5XXErrors",
            threshold=0.01,
            minutes=5,
            out_of=(2, 3),
            harms_users=True,
        ),
        endpoint_alarm(
            settings,
            key="endpoint-latency",
            means=f"The model takes more than {settings.serving.latency_alarm_ms} ms on average.",
            act="If all instances are in use, raise serving.max_instances; if it began with a release, go back: "
            "make rollback.",
            metric="ModelLatency",
            threshold=settings.serving.latency_alarm_ms * 1000.0,
            minutes=5,
            out_of=(3, 3),
        ),
        endpoint_alarm(
            settings,
            key="endpoint-memory",
            means="The endpoint's containers use more than 90% of the memory.",
            act="Before they are killed: choose a larger serving.instance_type and deploy.",
            namespace="/aws/sagemaker/Endpoints",
            metric="MemoryUtilization",
            threshold=90,
            minutes=5,
            out_of=(3, 3),
        ),
    )


def _functions(settings: Settings) -> tuple[Alarm, ...]:
    log = "Read its log (the dashboard links it)."
    errors = (
        (
            "api",
            "The api function failed without an answer of its own: a crash or a time-out.",
            log,
        ),
        (
            "about",
            "GET /health or GET /openapi.json failed without an answer of its own: a crash or a time-out.",
            f"{log} Whoever asks the API whether it is well is told that it is not; counting goes on.",
        ),
        (
            "champion",
            "The model in service could not be found out, so a run failed rather than compare with a wrong one.",
            f"{log} If the endpoint is Failed, delete it or release a model, then retry the run.",
        ),
        (
            "trigger",
            "A run was not started for new photos or on schedule.",
            f"{log} Then start the run by hand; the event is kept in the queue trigger-dead.",
        ),
        (
            "release-start",
            "A release could not be started; it is tried again by itself.",
            f"{log} If the serving stack is busy, wait; if it is stuck in a failed state, repair it first.",
        ),
        (
            "release-finish",
            "The end of a release was not reported, so its pipeline step still waits.",
            f"{log} Look at the serving stack: if its update ended, approve or reject the package by hand.",
        ),
    )
    alarms = [
        function_alarm(settings, key=f"{task}-failed", task=task, means=means, act=act, harms=task == "api")
        for task, means, act in errors
    ]
    throttled = function_alarm(
        settings,
        key="api-throttled",
        task="api",
        means="Lambda refused to run the api function because too many run at once.",
        act="Ask AWS for a higher limit of concurrent executions, or lower api.requests_per_second.",
        metric="Throttles",
        harms=True,
    )
    return (*alarms, throttled)


def _queues(settings: Settings) -> tuple[Alarm, ...]:
    names = settings.names
    waiting = Alarm(
        key="release-waiting",
        means="A release has waited for more than an hour for its turn.",
        act="See what the serving stack is doing: another release, or an update that hangs.",
        namespace="AWS/SQS",
        metric="ApproximateAgeOfOldestMessage",
        dimensions={"QueueName": names.queue("release")},
        statistic="Maximum",
        threshold=3600,
        minutes=5,
    )
    dead = (
        (
            "release-dead",
            "A release, or the report of one, was given up after its last attempt.",
            "Read the message in the dead-letter queue and the logs of release-start and release-finish; then approve "
            "the package again, which starts the release anew, and delete the message.",
        ),
        (
            "trigger-dead",
            "An event that should have started a run was given up, or a notice of an ended run.",
            "Read the message in the dead-letter queue and the log of trigger; start the run by hand and delete the "
            "message.",
        ),
    )
    return (
        waiting,
        *(
            Alarm(
                key=key,
                means=means,
                act=act,
                namespace="AWS/SQS",
                metric="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": names.queue(key)},
                statistic="Maximum",
                threshold=0,
                minutes=5,
            )
            for key, means, act in dead
        ),
    )


def _pipeline(settings: Settings) -> Alarm:
    return Alarm(
        key="pipeline-failing",
        means="Three runs or more ended as failed within a day; a challenger that the gate refuses counts as one.",
        act="Each run's notice has the command that lists its steps and reasons. If all were refused, the new photos "
        "or settings make no better model; anything else is a fault to mend. The model in service is untouched.",
        namespace="AWS/Sagemaker/ModelBuildingPipeline",
        metric="ExecutionFailed",
        dimensions={"PipelineName": settings.names.pipeline},
        statistic="Sum",
        threshold=2,
        minutes=24 * 60,
    )
