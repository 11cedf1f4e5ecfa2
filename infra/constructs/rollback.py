"""Alarms that end a release and bring the old model back."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.alarm import Alarm
from infra.alarms import rollback_alarms
from infra.settings import Settings


class RollbackAlarms(Construct):
    """Alarms on the instances of one endpoint configuration, for the endpoint's AutoRollbackConfiguration.

    SageMaker publishes metrics with EndpointConfigName from the moment the new instances get traffic. Without that
    dimension the old instances would count too, and a model that fails in service could not be replaced.
    """

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, *, endpoint_config_name: str) -> None:
        super().__init__(scope, construct_id)
        self.alarms: Sequence[cloudwatch.CfnAlarm] = tuple(
            self._alarm(settings, alarm, endpoint_config_name) for alarm in rollback_alarms(settings)
        )

    def _alarm(self, settings: Settings, alarm: Alarm, endpoint_config_name: str) -> cloudwatch.CfnAlarm:
        dimensions = {**alarm.dimensions, "EndpointConfigName": endpoint_config_name}
        return cloudwatch.CfnAlarm(
            self,
            alarm.id,
            alarm_name=settings.names.alarm(alarm.key),  # fixed: the execution role names them
            alarm_description=alarm.description,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value) for name, value in dimensions.items()
            ],
            statistic=alarm.statistic,
            period=alarm.minutes * 60,
            datapoints_to_alarm=alarm.out_of[0],
            evaluation_periods=alarm.out_of[1],
            threshold=alarm.threshold,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",  # before the first request there is no metric
        )
