"""What can go wrong. Everything that this package raises on purpose is a TallyError."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tally_client.models import Prediction, Problem


class TallyError(Exception):
    """Something is wrong; the message says what, and what to do. `results`: what predict_many had before it."""

    results: tuple[Prediction | Problem, ...] = ()


class UsageError(TallyError, ValueError):
    """What was given cannot be sent; nothing was sent."""


class ApiProblem(TallyError):  # noqa: N818  # said by the API, not an error of this package
    """The API answered with a problem. `retry_after`: seconds to wait before the next try, None where it says none."""

    def __init__(self, problem: Problem, retry_after: float | None = None):
        super().__init__(problem, retry_after)
        self.problem = problem
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.problem)

    @property
    def status(self) -> int:
        """HTTP's status."""
        return self.problem.status

    @property
    def code(self) -> str:
        """The problem's stable name: no_model, throttled, address_not_public..."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """What is wrong, for people; empty where the API does not say."""
        return self.problem.detail

    @property
    def request_id(self) -> str:
        """Names the request in the API's logs."""
        return self.problem.request_id


class NoAnswer(TallyError):  # noqa: N818  # the name says what is wrong
    """No connection, or no answer in time. Whether the API counted the photo is unknown; asking again is safe.
    `transient`: it may also help."""

    def __init__(self, message: str, transient: bool = True):
        super().__init__(message, transient)
        self.transient = transient

    def __str__(self) -> str:
        return str(self.args[0])


class UnexpectedAnswer(TallyError):  # noqa: N818  # the name says what is wrong
    """An answer that is none of the Tally API: a proxy's page, another service, a redirect. `status`: HTTP's."""

    def __init__(self, message: str, status: int):
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])
