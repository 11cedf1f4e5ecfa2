"""The operations stack: what a person looks at, what calls a person, and what it may cost."""

from aws_cdk import Environment, Stack
from aws_cdk import aws_budgets as budgets
from constructs import Construct

from infra.constructs.alarms import OperationsAlarms
from infra.constructs.dashboard import Dashboard
from infra.data import DataStack
from infra.names import COST_TAG
from infra.settings import Settings


class OperationsStack(Stack):
    """Dashboard, alarms and budget. It knows what it watches by name, so that no stack waits for this one."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(
            scope,
            settings.names.stack("operations"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: dashboard, alarms and budget",
        )
        self.alarms = OperationsAlarms(self, "Alarms", settings, topic=data.notices)
        self.dashboard = Dashboard(self, "Dashboard", settings, alarms=self.alarms.all)
        self._budget(settings, data.notices.topic_arn)

    def _budget(self, settings: Settings, topic_arn: str) -> None:
        budget = budgets.CfnBudget

        def notice(kind: str, percent: int) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
            return budget.NotificationWithSubscribersProperty(
                notification=budget.NotificationProperty(
                    notification_type=kind,
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                ),
                # the topic's subscribers include the e-mail addresses of the settings
                subscribers=[budget.SubscriberProperty(subscription_type="SNS", address=topic_arn)],
            )

        budget(
            self,
            "Budget",
            budget=budget.BudgetDataProperty(
                budget_name=settings.names.base,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budget.SpendProperty(amount=settings.operations.monthly_budget_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:{COST_TAG}${settings.names.base}"]},
            ),
            notifications_with_subscribers=[notice("ACTUAL", 80), notice("ACTUAL", 100), notice("FORECASTED", 100)],
        )
