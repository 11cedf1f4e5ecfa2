"""What a check reports."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that SageMaker would refuse, or that could never work."""

    step: str  # name of the step; empty for the definition as a whole
    path: str  # where in the step, for example `Arguments.RoleArn`
    message: str

    def __str__(self) -> str:
        return f"{self.step or 'definition'}: {self.path}: {self.message}"


Finding = tuple[str, str]  # path and message; the caller knows the step
Findings = Iterator[Finding]


class UnresolvedError(Exception):
    """An expression that names something that does not exist, or is malformed."""
