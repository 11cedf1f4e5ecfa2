"""Shapes to check against: SageMaker's API model as botocore ships it, and the definition's own members.

The published JSON schema of pipeline definitions is out of date, so the members around a step's Arguments are written
here in the same form as botocore's model and go through the same checker.
"""

import re
import sys
import unicodedata
from functools import cache
from itertools import groupby
from typing import Any

from botocore.model import ServiceModel, Shape, ShapeResolver
from botocore.session import Session

# Step type -> API operation, the member that names the job (SageMaker Pipelines sets it), shapes of its properties.
JOBS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName", ("DescribeProcessingJobResponse",)),
    "Training": ("CreateTrainingJob", "TrainingJobName", ("DescribeTrainingJobResponse",)),
    "Tuning": (
        "CreateHyperParameterTuningJob",
        "HyperParameterTuningJobName",
        ("DescribeHyperParameterTuningJobResponse", "ListTrainingJobsForHyperParameterTuningJobResponse"),
    ),
    "RegisterModel": ("CreateModelPackage", "ModelPackageName", ("DescribeModelPackageOutput",)),
}
STEP_TYPES = (*JOBS, "Lambda", "Callback", "Condition", "Fail")

OPAQUE = "Opaque"  # checked elsewhere
SCALAR = "Scalar"  # any text, number, truth value or expression


@cache
def service() -> ServiceModel:
    """SageMaker's API model; reads a file, needs no network and no credentials."""
    return Session().get_service_model("sagemaker")


@cache
def request_shape(step_type: str) -> Shape:
    """The input of the API that a job step calls."""
    return service().operation_model(JOBS[step_type][0]).input_shape


@cache
def property_shapes(step_type: str) -> tuple[Shape, ...]:
    """The Describe* shapes whose members a job step offers to later steps."""
    return tuple(service().shape_for(name) for name in JOBS[step_type][2])


@cache
def own_shape(name: str) -> Shape:
    """A shape of the definition itself: `Definition`, `Parameter`, `<type>Step`, `<type>Arguments`."""
    return _own().get_shape_by_name(name)


@cache
def pattern(text: str) -> re.Pattern[str]:
    """Compile a Java pattern of the API model; a value must match it as a whole."""
    text = re.sub(r"\$\{\d+,\d+\}$", "", text)  # CustomerMetadataMap ends in `${1,128}`: a length, given as max too
    text = text.replace(r"\p{Alnum}", "a-zA-Z0-9")
    return re.compile(re.sub(r"\\p\{(\w)\}", lambda match: _categories()[match[1]], text))


@cache
def _categories() -> dict[str, str]:
    """By Unicode major category (`L`, `N`, ...) its characters, as the inside of a character class."""
    found: dict[str, str] = {}
    end = 0
    for major, run in groupby(unicodedata.category(chr(code))[0] for code in range(sys.maxunicode + 1)):
        start, end = end, end + sum(1 for _ in run)
        found[major] = found.get(major, "") + f"\\U{start:08x}-\\U{end - 1:08x}"
    return found


@cache
def _own() -> ShapeResolver:
    text = {"type": "string", "min": 1}
    shapes: dict[str, Any] = {
        OPAQUE: {"type": "string"},
        SCALAR: {"type": "string"},
        "OpaqueMap": _map(OPAQUE),
        "ScalarMap": _map(SCALAR),
        "OpaqueList": _list(OPAQUE),
        "ScalarList": _list(SCALAR, 1),
        "Text": text,
        "Boolean": {"type": "boolean"},
        "Names": _list("StepName"),
        "StepName": {"type": "string", "min": 1, "max": 64, "pattern": r"[A-Za-z0-9][A-Za-z0-9\-_]*"},
        "Description": {"type": "string", "max": 3072},
        "Version": {"type": "string", "enum": ["2020-12-01"]},
        "ParameterName": {"type": "string", "min": 1, "max": 256, "pattern": r"[A-Za-z0-9\-_]*"},
        "ValueType": {"type": "string", "enum": ["String", "Integer", "Float", "Boolean"]},
        "StepType": {"type": "string", "enum": list(STEP_TYPES)},
        "FunctionArn": {
            "type": "string",
            "max": 170,
            "pattern": r"arn:aws[a-z\-]*:lambda:[a-z0-9\-]+:\d{12}:function:.+",
        },
        "QueueUrl": {"type": "string", "max": 256, "pattern": r"https?://.+"},
        "ErrorMessage": {"type": "string", "min": 1, "max": 3072},
        "Duration": {"type": "string", "pattern": r"[Pp](?=.)(\d+[YyMmWwDd])*([Tt](\d+[HhMmSs])+)?"},
        "Exception": {
            "type": "string",
            "enum": [
                "Step.SERVICE_FAULT",
                "Step.THROTTLING",
                "SageMaker.JOB_INTERNAL_ERROR",
                "SageMaker.CAPACITY_ERROR",
                "SageMaker.RESOURCE_LIMIT",
            ],
        },
        "Exceptions": _list("Exception", 1),
        "Seconds": {"type": "integer", "min": 1, "max": 43200},
        "Rate": {"type": "float", "min": 1},
        "Attempts": {"type": "integer", "min": 1, "max": 20},
        "Minutes": {"type": "integer", "min": 1, "max": 14400},
        "Comparison": {
            "type": "string",
            "enum": ["Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"],
        },
        "Definition": _structure(
            ["Version", "Parameters", "Steps"],
            Version="Version",
            Metadata="OpaqueMap",
            Parameters="Parameters",
            Steps="OpaqueList",
        ),
        "Parameters": {"type": "list", "member": {"shape": "Parameter"}, "max": 200},
        "Parameter": _structure(
            ["Name", "Type"], Name="ParameterName", Type="ValueType", DefaultValue=SCALAR, EnumValues="ScalarList"
        ),
        "RetryPolicies": _list("RetryPolicy", 1),
        "RetryPolicy": _structure(
            ["ExceptionType"],
            ExceptionType="Exceptions",
            IntervalSeconds="Seconds",
            BackoffRate="Rate",
            MaxAttempts="Attempts",
            ExpireAfterMin="Minutes",
        ),
        "CacheConfig": _structure(["Enabled"], Enabled="Boolean", ExpireAfter="Duration"),
        "PropertyFiles": _list("PropertyFile", 1),
        "PropertyFile": _structure(
            ["PropertyFileName", "OutputName", "FilePath"], PropertyFileName="Text", OutputName="Text", FilePath="Text"
        ),
        "OutputParameters": {"type": "list", "member": {"shape": "OutputParameter"}, "max": 50},
        "OutputParameter": _structure(["OutputName", "OutputType"], OutputName="Text", OutputType="ValueType"),
        "Conditions": _list("Condition", 1),
        "Condition": _structure(
            ["Type", "LeftValue", "RightValue"], Type="Comparison", LeftValue=SCALAR, RightValue=SCALAR
        ),
        "ConditionArguments": _structure(
            ["Conditions", "IfSteps", "ElseSteps"],
            Conditions="Conditions",
            IfSteps="OpaqueList",
            ElseSteps="OpaqueList",
        ),
        "FailArguments": _structure(["ErrorMessage"], ErrorMessage="ErrorMessage"),
        "LambdaArguments": _map(SCALAR),
        "CallbackArguments": _map(SCALAR),
        **{f"{kind}Step": _step(kind) for kind in STEP_TYPES},
    }
    return ShapeResolver(shapes)


def _step(kind: str) -> dict[str, Any]:
    members = {
        "Name": "StepName",
        "Type": "StepType",
        "Arguments": "OpaqueMap",
        "DependsOn": "Names",
        "DisplayName": "StepName",
        "Description": "Description",
    }
    required = ["Name", "Type", "Arguments"]
    if kind in JOBS:
        members["RetryPolicies"] = "RetryPolicies"
    if kind not in ("Condition", "Fail", "RegisterModel"):
        members["CacheConfig"] = "CacheConfig"
    if kind == "Processing":
        members["PropertyFiles"] = "PropertyFiles"
    if kind in ("Lambda", "Callback"):
        target, shape = {"Lambda": ("FunctionArn", "FunctionArn"), "Callback": ("SqsQueueUrl", "QueueUrl")}[kind]
        members |= {target: shape, "OutputParameters": "OutputParameters"}
        required += [target, "OutputParameters"]
    return _structure(required, **members)


def _structure(required: list[str], **members: str) -> dict[str, Any]:
    return {
        "type": "structure",
        "required": required,
        "members": {name: {"shape": shape} for name, shape in members.items()},
    }


def _list(member: str, least: int = 0) -> dict[str, Any]:
    return {"type": "list", "member": {"shape": member}, "min": least}


def _map(value: str) -> dict[str, Any]:
    return {"type": "map", "key": {"shape": "Text"}, "value": {"shape": value}}
