"""A tuning job's parameter ranges as optuna distributions, and values back as the strings SageMaker sends."""

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from local.errors import StepError

_AUTO_LOG_RATIO = (
    100  # Auto: a positive range that spans more than two orders of magnitude is searched by its logarithm
)


def distributions(ranges: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Read ParameterRanges; StepError naming the range that makes no sense."""
    found: dict[str, BaseDistribution] = {}
    for item in ranges.get("ContinuousParameterRanges", []):
        low, high = float(item["MinValue"]), float(item["MaxValue"])
        found[item["Name"]] = FloatDistribution(low, high, log=_log(item, low, high))
    for item in ranges.get("IntegerParameterRanges", []):
        first, last = int(item["MinValue"]), int(item["MaxValue"])
        found[item["Name"]] = IntDistribution(first, last, log=_log(item, first, last))
    for item in ranges.get("CategoricalParameterRanges", []):
        found[item["Name"]] = CategoricalDistribution(list(item["Values"]))
    if not found:
        raise StepError("the tuning job has no parameter ranges: there is nothing to search")
    return found


def as_strings(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as TunedHyperParameters holds them: plain strings, numbers that read back exactly."""
    return {name: value if isinstance(value, str) else repr(value) for name, value in values.items()}


def for_container(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as a trial's hyperparameters.json may hold them: categories JSON-quoted, as tuning jobs made by the SDK
    send them. Containers have to read both forms, so the laptop sends the awkward one."""
    return {name: json.dumps(value) if isinstance(value, str) else repr(value) for name, value in values.items()}


def _log(item: Mapping[str, Any], low: float, high: float) -> bool:
    scaling = item.get("ScalingType", "Auto")
    if low > high:
        raise StepError(f"range {item['Name']}: MinValue {low:g} is above MaxValue {high:g}")
    if scaling == "Logarithmic" and low <= 0:
        raise StepError(f"range {item['Name']}: Logarithmic scaling needs MinValue above 0, not {low:g}")
    if scaling == "ReverseLogarithmic":
        raise StepError(f"range {item['Name']}: ReverseLogarithmic scaling is not emulated; use Logarithmic or Linear")
    return scaling == "Logarithmic" or (scaling == "Auto" and low > 0 and high / low > _AUTO_LOG_RATIO)
