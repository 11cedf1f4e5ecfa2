"""Errors as AWS answers them."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error answer: its code, a message for a person, the HTTP status and further members of its body."""

    def __init__(self, code: str, message: str, status: int = 400, fields: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> ApiError:
    """ValidationException: what SageMaker answers to most mistakes, an unknown name among them."""
    return ApiError("ValidationException", message)


def not_found(message: str) -> ApiError:
    """ResourceNotFound: what the calls about pipelines and tuning jobs answer to an unknown name."""
    return ApiError("ResourceNotFound", message)


def in_use(message: str) -> ApiError:
    """ResourceInUse: a name is taken."""
    return ApiError("ResourceInUse", message)


def conflict(message: str) -> ApiError:
    """ConflictException: the thing is in a state that does not allow it."""
    return ApiError("ConflictException", message)
