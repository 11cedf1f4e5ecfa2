"""What an alarm is: plain data, from which CloudWatch alarms and documentation are made. Needs no aws_cdk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from infra.names import VARIANT
from infra.settings import Settings

Statistic = Literal["Sum", "Average", "Maximum", "p95"]

REGION = "AWS::Region"  # as a dimension's value: the region that the stack is deployed to


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Fires when `metric` is above `threshold` in `out_of[0]` of `out_of[1]` periods; no data counts as good."""

    key: str
    means: str
    act: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: Statistic
    threshold: float
    minutes: int = 1  # length of a period
    out_of: tuple[int, int] = (1, 1)
    harms_users: bool = False  # notifies through the composite alarm, so that one incident is one message

    @property
    def description(self) -> str:
        """What a person reads in the notice."""
        return f"{self.means} {self.act}"

    @property
    def id(self) -> str:
        """The key as a construct's id: api-errors becomes ApiErrors."""
        return "".join(part.capitalize() for part in self.key.split("-"))


def endpoint_alarm(
    settings: Settings,
    *,
    key: str,
    means: str,
    act: str,
    metric: str,
    threshold: float,
    namespace: str = "AWS/SageMaker",
    minutes: int = 1,
    out_of: tuple[int, int],
    harms_users: bool = False,
) -> Alarm:
    """An alarm on a metric of the endpoint's variant."""
    return Alarm(
        key=key,
        means=means,
        act=act,
        namespace=namespace,
        metric=metric,
        dimensions={"EndpointName": settings.names.endpoint, "VariantName": VARIANT},
        statistic="Average",  # of errors: the share of requests, as each request reports 0 or 1
        threshold=threshold,
        minutes=minutes,
        out_of=out_of,
        harms_users=harms_users,
    )


def function_alarm(
    settings: Settings, *, key: str, task: str, means: str, act: str, metric: str = "Errors", harms: bool
) -> Alarm:
    """An alarm on one or more of a count of a Lambda function, within five minutes."""
    return Alarm(
        key=key,
        means=means,
        act=act,
        namespace="AWS/Lambda",
        metric=metric,
        dimensions={"FunctionName": settings.names.function(task)},
        statistic="Sum",
        threshold=0,
        minutes=5,
        harms_users=harms,
    )
