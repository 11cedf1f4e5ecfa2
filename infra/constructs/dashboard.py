"""One page on which a person sees where it hurts: API, functions, endpoint, pipeline, releases."""

from collections.abc import Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.names import API_METRICS, STAGE, VARIANT
from infra.settings import Settings

FUNCTIONS = ("api", "about", "champion", "trigger", "release-start", "release-finish")
JOBS = ("TrainingJobs", "ProcessingJobs")


class Dashboard(Construct):
    """A row per part of the platform, in the order in which a request and then a model pass through it."""

    def __init__(
        self, scope: Construct, construct_id: str, settings: Settings, *, alarms: Sequence[cloudwatch.IAlarm]
    ) -> None:
        super().__init__(scope, construct_id)
        self._names = settings.names
        board = cloudwatch.Dashboard(
            self,
            "Board",
            dashboard_name=self._names.base,
            default_interval=Duration.hours(12),
        )
        board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(alarms), width=24, height=4))
        for row in (self._api(), self._photos(), self._functions(), self._endpoint(), self._instances(), self._runs()):
            board.add_widgets(*row)
        board.add_widgets(self._access_log())

    def _api(self) -> list[cloudwatch.IWidget]:
        dimensions = {"ApiName": self._names.base, "Stage": STAGE}

        def metric(name: str, statistic: str, label: str) -> cloudwatch.Metric:
            return _metric("AWS/ApiGateway", name, dimensions, statistic, label)

        return [
            _graph("API: requests a minute", metric("Count", "Sum", "requests")),
            _graph("API: refused and failed", metric("4XXError", "Sum", "4xx"), metric("5XXError", "Sum", "5xx")),
            _graph(
                "API: latency, ms",
                metric("Latency", "p50", "half below"),
                metric("Latency", "p95", "95% below"),
                metric("IntegrationLatency", "p95", "95% below, function only"),
            ),
        ]

    def _photos(self) -> list[cloudwatch.IWidget]:
        """What the function that counts says of itself, in the lines of its log."""

        def metric(name: str, statistic: str, label: str) -> cloudwatch.Metric:
            return _metric(API_METRICS, name, {"Environment": self._names.base}, statistic, label)

        return [
            _graph(
                "Photos: a minute",
                metric("Requests", "Sum", "requests that reached the function"),
                metric("Photos", "Sum", "photos"),
            ),
            _graph(
                "Photos: ms, by phase",
                metric("FetchMs", "p50", "fetch, half below"),
                metric("FetchMs", "p95", "fetch, 95% below"),
                metric("ModelMs", "p50", "model, half below"),
                metric("ModelMs", "p95", "model, 95% below"),
                metric("TotalMs", "p95", "all in all, 95% below"),
            ),
            _graph("Photos: refused and failed, by code", _rejects(self._names.base)),
        ]

    def _functions(self) -> list[cloudwatch.IWidget]:
        def metrics(name: str, statistic: str) -> list[cloudwatch.Metric]:
            return [
                _metric("AWS/Lambda", name, {"FunctionName": self._names.function(task)}, statistic, task)
                for task in FUNCTIONS
            ]

        return [
            _graph("Functions: calls", *metrics("Invocations", "Sum")),
            _graph("Functions: errors", *metrics("Errors", "Sum")),
            _graph("Functions: duration, ms, 95% below", *metrics("Duration", "p95")),
        ]

    def _endpoint(self) -> list[cloudwatch.IWidget]:
        def metric(name: str, statistic: str, label: str) -> cloudwatch.Metric:
            return _metric("AWS/SageMaker", name, self._variant, statistic, label)

        return [
            _graph(
                "Endpoint: load an instance",
                metric("InvocationsPerInstance", "Sum", "requests a minute"),
                metric("ConcurrentRequestsPerModel", "Maximum", "requests in flight"),
            ),
            _graph(
                "Endpoint: failed requests",
                metric("Invocation4XXErrors", "Sum", "4xx"),
                metric("Invocation5XXErrors", "Sum", "5xx"),
                metric("InvocationModelErrors", "Sum", "no good answer"),
            ),
            _graph(
                "Endpoint: latency, µs, average",
                metric("ModelLatency", "Average", "model"),
                metric("OverheadLatency", "Average", "SageMaker"),
            ),
        ]

    def _instances(self) -> list[cloudwatch.IWidget]:
        def metric(name: str) -> cloudwatch.Metric:
            return _metric("/aws/sagemaker/Endpoints", name, self._variant, "Average", name)

        jobs = [_search(f"/aws/sagemaker/{kind}", name) for kind in JOBS for name in ("CPUUtilization",)]
        gpu = [_search("/aws/sagemaker/TrainingJobs", name) for name in ("GPUUtilization", "GPUMemoryUtilization")]
        return [
            _graph("Endpoint: use of instances, %", metric("CPUUtilization"), metric("MemoryUtilization")),
            _graph("Jobs: processors, % (100 a core)", *jobs),
            _graph("Training jobs: GPUs, %", *gpu),
        ]

    def _runs(self) -> list[cloudwatch.IWidget]:
        def run(name: str, label: str) -> cloudwatch.Metric:
            dimensions = {"PipelineName": self._names.pipeline}
            return _metric("AWS/Sagemaker/ModelBuildingPipeline", name, dimensions, "Sum", label)

        def queue(task: str, name: str, label: str) -> cloudwatch.Metric:
            return _metric("AWS/SQS", name, {"QueueName": self._names.queue(task)}, "Maximum", label)

        return [
            _graph(
                "Runs of the pipeline",
                run("ExecutionStarted", "started"),
                run("ExecutionSucceeded", "succeeded"),
                run("ExecutionFailed", "failed"),
            ),
            _graph(
                "Releases: messages",
                queue("release", "ApproximateNumberOfMessagesVisible", "waiting"),
                queue("release-dead", "ApproximateNumberOfMessagesVisible", "given up"),
            ),
            _graph(
                "Releases: age of the oldest, s",
                queue("release", "ApproximateAgeOfOldestMessage", "waiting"),
            ),
        ]

    def _access_log(self) -> cloudwatch.IWidget:
        return cloudwatch.LogQueryWidget(
            title="API: last failures",
            log_group_names=[f"/aws/apigateway/{self._names.base}/access"],
            query_lines=[
                "fields @timestamp, status, error, firewall, responseMs, requestId",
                "filter status >= 400",
                "sort @timestamp desc",
                "limit 20",
            ],
            width=24,
            height=6,
        )

    @property
    def _variant(self) -> dict[str, str]:
        return {"EndpointName": self._names.endpoint, "VariantName": VARIANT}


def _metric(namespace: str, name: str, dimensions: dict[str, str], statistic: str, label: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        label=label,
        period=Duration.minutes(1),
    )


def _rejects(environment: str) -> cloudwatch.MathExpression:
    """Problem codes are a dimension: searched for, so that one is drawn when it first happens."""
    return cloudwatch.MathExpression(
        expression=f'SEARCH(\'{{{API_METRICS},Environment,Code}} MetricName="Rejects" '
        f"Environment=\"{environment}\"', 'Sum', 60)",
        using_metrics={},
        label="",
        period=Duration.minutes(1),
    )


def _search(namespace: str, name: str) -> cloudwatch.MathExpression:
    """Jobs have names of their own in every run, so their metrics are searched for."""
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{{namespace},Host}} MetricName=\"{name}\"', 'Average', 60)",
        using_metrics={},
        label="",
        period=Duration.minutes(1),
    )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), region=Aws.REGION, width=8, height=6)
