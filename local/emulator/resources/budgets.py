"""AWS::Budgets::Budget: ministack has the service, but no resource type for it. Nothing is ever spent here."""

from ministack.services import budgets

from local.emulator.environment import ACCOUNT
from local.emulator.resources.base import Resource, ResourceType, Result, request_of
from local.emulator.resources.replies import accepted


class Budget(ResourceType):
    """A monthly limit with the notices that are sent at parts of it."""

    name = "AWS::Budgets::Budget"
    replacing = ("NotificationsWithSubscribers", "ResourceTags")

    def create(self, wanted: Resource) -> Result:
        """Ref is the name."""
        budget = dict(wanted.properties["Budget"])
        budget.setdefault("BudgetName", wanted.generated_name(100))
        values = {**wanted.properties, "AccountId": ACCOUNT, "Budget": budget}
        accepted(budgets._create_budget(request_of("budgets", "CreateBudget", values, type_name=self.name)), self.name)
        return budget["BudgetName"], {}

    def update(self, wanted: Resource) -> Result:
        """Change the limit."""
        budget = {**wanted.properties["Budget"], "BudgetName": wanted.physical_id}
        values = {"AccountId": ACCOUNT, "NewBudget": budget}
        accepted(budgets._update_budget(request_of("budgets", "UpdateBudget", values, type_name=self.name)), self.name)
        return wanted.physical_id, {}

    def delete(self, existing: Resource) -> None:
        """Delete it."""
        if existing.physical_id in budgets._budgets:
            accepted(budgets._delete_budget({"BudgetName": existing.physical_id}), self.name)
