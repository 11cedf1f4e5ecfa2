"""Rules of SageMaker that its API model cannot express, each as its documentation states it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.checks.expressions import Scope, dig, is_expression, names
from pipeline.checks.problem import Findings, UnresolvedError


def check_rules(step: Mapping[str, Any], scope: Scope) -> Findings:
    """Rules that relate members of one step to each other."""
    kind, arguments = step["Type"], step["Arguments"]
    yield from _check_retries(step.get("RetryPolicies", []))
    if kind == "Processing":
        yield from _check_processing(step, arguments)
    elif kind == "Training":
        yield from _check_training_job(arguments, "Arguments", scope)
    elif kind == "Tuning":
        definition = arguments["TrainingJobDefinition"]
        yield from _check_training_job(definition, "Arguments.TrainingJobDefinition", scope)
        yield from _check_tuning(arguments["HyperParameterTuningJobConfig"], definition, scope)
    elif kind == "Condition":
        yield from _check_conditions(arguments["Conditions"], scope)


def _check_retries(policies: list[Mapping[str, Any]]) -> Findings:
    for index, policy in enumerate(policies):
        if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
            yield f"RetryPolicies[{index}]", "needs exactly one of MaxAttempts and ExpireAfterMin"


def _check_processing(step: Mapping[str, Any], arguments: Mapping[str, Any]) -> Findings:
    outputs = names(dig(arguments, "ProcessingOutputConfig", "Outputs"))
    files = step.get("PropertyFiles", [])
    yield from _check_unique("Arguments.ProcessingOutputConfig.Outputs", outputs)
    yield from _check_unique("Arguments.ProcessingInputs", names(arguments.get("ProcessingInputs")))
    yield from _check_unique("PropertyFiles", names(files))
    for index, file in enumerate(files):
        if file["OutputName"] not in outputs:
            yield f"PropertyFiles[{index}].OutputName", f"'{file['OutputName']}' is no output of the step: {outputs}"


def _check_training_job(job: Mapping[str, Any], path: str, scope: Scope) -> Findings:
    yield from _check_unique(f"{path}.InputDataConfig", names(job.get("InputDataConfig")))
    run, wait = (
        _number(dig(job, "StoppingCondition", f"Max{kind}InSeconds"), scope) for kind in ("Runtime", "WaitTime")
    )
    if dig(job, "EnableManagedSpotTraining"):
        if run is None or wait is None or wait < run:
            yield (
                f"{path}.StoppingCondition",
                "spot training needs MaxWaitTimeInSeconds of at least MaxRuntimeInSeconds",
            )
    elif wait is not None:
        yield f"{path}.StoppingCondition", "MaxWaitTimeInSeconds is for spot training only"


def _check_tuning(config: Mapping[str, Any], job: Mapping[str, Any], scope: Scope) -> Findings:
    path = "Arguments.HyperParameterTuningJobConfig"
    metrics = names(dig(job, "AlgorithmSpecification", "MetricDefinitions"))
    objective = dig(config, "HyperParameterTuningJobObjective", "MetricName")
    if objective not in metrics:
        yield f"{path}.HyperParameterTuningJobObjective", f"'{objective}' is none of the metrics {metrics}"
    if config["Strategy"] == "Hyperband":
        if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
            yield f"{path}.TrainingJobEarlyStoppingType", "must be Off with Hyperband, which stops jobs by its own rule"
    elif "StrategyConfig" in config:
        yield f"{path}.StrategyConfig", "is for Hyperband only"

    ranges = config.get("ParameterRanges", {})
    searched = [name for items in ranges.values() for name in names(items)]
    yield from _check_unique(f"{path}.ParameterRanges", [*searched, *job.get("StaticHyperParameters", {})])
    for kind in ("ContinuousParameterRanges", "IntegerParameterRanges"):
        for index, item in enumerate(ranges.get(kind, [])):
            yield from _check_range(item, f"{path}.ParameterRanges.{kind}[{index}]", scope)

    limits = config["ResourceLimits"]
    jobs, parallel = (_number(limits.get(f"Max{kind}TrainingJobs"), scope) for kind in ("NumberOf", "Parallel"))
    if jobs is not None and parallel is not None and parallel > jobs:
        yield f"{path}.ResourceLimits", f"{parallel} parallel jobs are more than the {jobs} jobs in all"


def _check_range(item: Mapping[str, Any], path: str, scope: Scope) -> Findings:
    for low in _known(item["MinValue"], scope):
        for high in _known(item["MaxValue"], scope):
            try:
                least, most = float(low), float(high)
            except ValueError:
                yield path, f"'{low}' and '{high}' must be numbers"
                continue
            if least >= most:
                yield path, f"MinValue {low} is not below MaxValue {high}"
            if item.get("ScalingType") == "Logarithmic" and least <= 0:
                yield path, f"a logarithmic range cannot begin at {low}"


def _check_conditions(conditions: list[Mapping[str, Any]], scope: Scope) -> Findings:
    """A parameter with a closed set of values is only compared with one of them."""
    for index, condition in enumerate(conditions):
        left, right = condition["LeftValue"], condition["RightValue"]
        for side, other in ((left, right), (right, left)):
            known = _known(side, scope)
            closed = is_expression(side) and str(side.get("Get", "")).startswith("Parameters.") and len(known) > 1
            if closed and not is_expression(other) and other not in known:
                yield f"Arguments.Conditions[{index}]", f"'{other}' is none of the parameter's values {list(known)}"


def _check_unique(path: str, texts: Iterable[Any]) -> Findings:
    for name, times in Counter(map(str, texts)).items():
        if times > 1:
            yield path, f"'{name}' occurs {times} times"


def _number(value: Any, scope: Scope) -> float | None:
    known = _known(value, scope)
    return known[0] if known and isinstance(known[0], int | float) else None


def _known(value: Any, scope: Scope) -> tuple[Any, ...]:
    if not is_expression(value):
        return (value,)
    try:
        return scope.resolve(value).known
    except UnresolvedError:  # reported where the expression itself is checked
        return ()
