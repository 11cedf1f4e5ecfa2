"""Callback tokens: SendPipelineExecutionStepSuccess and ...Failure, which moto does not have."""

import contextlib
import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 10  # SendPipelineExecutionStepSuccess: exactly 10 letters or digits


@dataclass
class _Waiting:
    execution_arn: str
    answered: threading.Event = field(default_factory=threading.Event)
    outputs: dict[str, str] | None = None
    reason: str = ""


class Callbacks:
    """Open tokens and the answers to them. Thread-safe: a deployer answers while an engine waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def open(self, execution_arn: str) -> str:
        """Return a new token for a step of an execution."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        with self._lock:
            self._waiting[token] = _Waiting(execution_arn)
        return token

    def success(self, token: str, outputs: Mapping[str, str]) -> str:
        """SendPipelineExecutionStepSuccess: returns the execution's ARN; KeyError for a token that is unknown, closed
        or answered already."""
        return self._answer(token, dict(outputs), "")

    def failure(self, token: str, reason: str) -> str:
        """SendPipelineExecutionStepFailure; as above. AWS keeps 256 characters of a reason."""
        return self._answer(token, None, reason[:256])

    def end(self, reason: str) -> None:
        """Answer all open tokens with a failure, because nobody else will."""
        for token in list(self._waiting):
            with contextlib.suppress(KeyError):  # answered in this moment
                self.failure(token, reason)

    def answer(self, token: str, wait_seconds: float) -> tuple[dict[str, str] | None, str] | None:
        """Wait up to `wait_seconds`: (outputs, "") on success, (None, reason) on failure, None when still open."""
        waiting = self._waiting[token]
        return (waiting.outputs, waiting.reason) if waiting.answered.wait(wait_seconds) else None

    def close(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            self._waiting.pop(token, None)

    def _answer(self, token: str, outputs: dict[str, str] | None, reason: str) -> str:
        with self._lock:
            waiting = self._waiting.get(token)
            if waiting is None or waiting.answered.is_set():
                raise KeyError(f"no callback step waits for token {token}")
            waiting.outputs, waiting.reason = outputs, reason
            waiting.answered.set()
            return waiting.execution_arn
