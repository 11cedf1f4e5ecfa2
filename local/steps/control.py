"""Steps that only decide: conditions and Fail."""

from typing import Any

from local.conditions import holds
from local.errors import StepError
from local.steps.base import StepContext, StepResult


class ConditionRunner:
    """All conditions must hold for the `IfSteps` branch. Output: `{"Outcome": bool}`."""

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Evaluate the conditions."""
        outcome = all(holds(condition) for condition in arguments["Conditions"])
        context.metadata["Condition"] = {"Outcome": str(outcome)}
        context.progress("holds" if outcome else "does not hold")
        return StepResult({"Outcome": outcome})


class FailRunner:
    """Ends the execution as failed, with the message that the definition wrote."""

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Raise the message."""
        message = str(arguments.get("ErrorMessage", f"step {context.step.name} failed the execution"))
        context.metadata["Fail"] = {"ErrorMessage": message}
        raise StepError(message)
