"""Evaluate the conditions of a condition step, after their expressions were resolved."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from local.errors import StepError

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def holds(condition: Mapping[str, Any]) -> bool:
    """Return whether one resolved condition is true; StepError for an unknown type or values of two kinds."""
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Condition"] if "Condition" in condition else condition["Expression"])
    if kind == "Or":
        return any(map(holds, condition["Conditions"]))
    if kind == "In":
        return condition["QueryValue"] in condition["Values"]
    if kind not in _COMPARISONS:
        raise StepError(f"unknown condition type {kind!r}")
    left, right = condition["LeftValue"], condition["RightValue"]
    try:
        return _COMPARISONS[kind](left, right)
    except TypeError as error:
        raise StepError(f"condition {kind} cannot compare {left!r} with {right!r}: one is not a number") from error
