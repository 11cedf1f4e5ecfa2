"""Checks a resolved request the way the AWS client would, before anything runs for it."""

import functools
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from local.errors import StepError


@functools.cache
def _service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise StepError when a member is missing, unknown or of a wrong type (hyperparameters, say, are strings)."""
    shape = _service_model().operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise StepError(f"{operation} would be rejected: {report.generate_report()}")
