"""The table of alarms as CloudWatch alarms."""

from collections.abc import Mapping

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.alarm import REGION, Alarm
from infra.alarms import USERS_AFFECTED, operations_alarms
from infra.settings import Settings


class OperationsAlarms(Construct):
    """Alarms that notify `topic`. Those that show users harmed do it through one composite alarm."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings, *, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self.by_key: Mapping[str, cloudwatch.Alarm] = {
            alarm.key: self._alarm(settings, alarm) for alarm in operations_alarms(settings)
        }
        harmful = [self.by_key[alarm.key] for alarm in operations_alarms(settings) if alarm.harms_users]
        self.users_affected = cloudwatch.CompositeAlarm(
            self,
            USERS_AFFECTED.id,
            composite_alarm_name=settings.names.alarm(USERS_AFFECTED.key),
            alarm_description=USERS_AFFECTED.description,
            alarm_rule=cloudwatch.AlarmRule.any_of(*harmful),
        )
        for alarm in operations_alarms(settings):
            if not alarm.harms_users:
                self._notify(self.by_key[alarm.key], topic)
        self._notify(self.users_affected, topic)

    @property
    def all(self) -> list[cloudwatch.IAlarm]:
        """In the order of the table, the composite alarm first."""
        return [self.users_affected, *self.by_key.values()]

    def _notify(self, alarm: cloudwatch.AlarmBase, topic: sns.ITopic) -> None:
        alarm.add_alarm_action(actions.SnsAction(topic))
        alarm.add_ok_action(actions.SnsAction(topic))

    def _alarm(self, settings: Settings, alarm: Alarm) -> cloudwatch.Alarm:
        dimensions = {name: Aws.REGION if value == REGION else value for name, value in alarm.dimensions.items()}
        return cloudwatch.Alarm(
            self,
            alarm.id,
            alarm_name=settings.names.alarm(alarm.key),
            alarm_description=alarm.description,
            metric=cloudwatch.Metric(
                namespace=alarm.namespace,
                metric_name=alarm.metric,
                dimensions_map=dimensions,
                statistic=alarm.statistic,
                period=Duration.minutes(alarm.minutes),
            ),
            threshold=alarm.threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            datapoints_to_alarm=alarm.out_of[0],
            evaluation_periods=alarm.out_of[1],
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
