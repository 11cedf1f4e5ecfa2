"""RegisterModel steps: CreateModelPackage, with DescribeModelPackage as the outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.errors import StepError
from local.steps.base import StepContext, StepResult

Call = Callable[[str, Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class PackageRunner:
    """Registers packages through `call(operation, request)`, which raises one of `errors`."""

    call: Call
    errors: tuple[type[Exception], ...]

    def run(self, arguments: Any, context: StepContext) -> StepResult:
        """Create the package in its group, which must exist."""
        try:
            arn = self.call("CreateModelPackage", arguments)["ModelPackageArn"]
            package = self.call("DescribeModelPackage", {"ModelPackageName": arn})
        except self.errors as error:
            raise StepError(str(error)) from error
        context.metadata["RegisterModel"] = {"Arn": arn}
        context.progress(arn)
        return StepResult(package)
