"""The one door to the SageMaker SDK: everything this package uses of it, without the SDK's side effects.

Importing the SDK makes AWS clients (which ask for a region and look for credentials, on the network too), warns about
its own deprecated modules and hangs a handler on the root logger. None of that is the business of whoever imports
`pipeline`.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

_MADE_UP = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_HIDDEN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let the SDK make its clients from made-up credentials, and leave the process as it was.

    A client that is never used sends nothing; only the search for real credentials would.
    """
    session, handlers = boto3.DEFAULT_SESSION, logging.getLogger().handlers[:]
    before = {name: os.environ.get(name) for name in (*_MADE_UP, *_HIDDEN)}
    os.environ.update(_MADE_UP)
    for name in _HIDDEN:
        os.environ.pop(name, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        boto3.DEFAULT_SESSION, logging.getLogger().handlers[:] = session, handlers
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


with undisturbed():
    from sagemaker.core.helper.pipeline_variable import PipelineVariable
    from sagemaker.core.lambda_helper import Lambda
    from sagemaker.core.workflow.conditions import ConditionEquals
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
    from sagemaker.core.workflow.properties import Properties, PropertyFile
    from sagemaker.mlops.workflow.callback_step import CallbackOutput, CallbackStep
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep
    from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaStep
    from sagemaker.mlops.workflow.pipeline import Pipeline
    from sagemaker.mlops.workflow.retry import (
        RetryPolicy,
        SageMakerJobExceptionTypeEnum,
        SageMakerJobStepRetryPolicy,
        StepExceptionTypeEnum,
        StepRetryPolicy,
    )
    from sagemaker.mlops.workflow.steps import CacheConfig, ConfigurableRetryStep, Step, StepTypeEnum

__all__ = [
    "CacheConfig",
    "CallbackOutput",
    "CallbackStep",
    "ConditionEquals",
    "ConditionStep",
    "ConfigurableRetryStep",
    "ExecutionVariables",
    "FailStep",
    "Join",
    "JsonGet",
    "Lambda",
    "LambdaOutput",
    "LambdaStep",
    "ParameterFloat",
    "ParameterInteger",
    "ParameterString",
    "Pipeline",
    "PipelineVariable",
    "Properties",
    "PropertyFile",
    "RetryPolicy",
    "SageMakerJobExceptionTypeEnum",
    "SageMakerJobStepRetryPolicy",
    "Step",
    "StepExceptionTypeEnum",
    "StepRetryPolicy",
    "StepTypeEnum",
    "undisturbed",
]
