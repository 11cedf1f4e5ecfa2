"""Callback tokens: SendPipelineExecutionStepSuccess and ...Failure, which moto does not have."""

import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 10  # SendPipelineExecutionStepSuccess: exactly 10 letters or digits


@dataclass
class _Waiting:
    answered: threading.Event = field(default_factory=threading.Event)
    outputs: dict[str, str] | None = None
    reason: str = ""


class Callbacks:
    """Open tokens and the answers to them. Thread-safe: a deployer answers while an engine waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def open(self) -> str:
        """Return a new token."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        with self._lock:
            self._waiting[token] = _Waiting()
        return token

    def success(self, token: str, outputs: Mapping[str, str]) -> None:
        """SendPipelineExecutionStepSuccess; KeyError for a token that is unknown, closed or answered already."""
        waiting = self._pending(token)
        waiting.outputs = dict(outputs)
        waiting.answered.set()

    def failure(self, token: str, reason: str) -> None:
        """SendPipelineExecutionStepFailure; KeyError as above. AWS keeps 256 characters of a reason."""
        waiting = self._pending(token)
        waiting.reason = reason[:256]
        waiting.answered.set()

    def answer(self, token: str, wait_seconds: float) -> tuple[dict[str, str] | None, str] | None:
        """Wait up to `wait_seconds`: (outputs, "") on success, (None, reason) on failure, None when still open."""
        waiting = self._waiting[token]
        return (waiting.outputs, waiting.reason) if waiting.answered.wait(wait_seconds) else None

    def close(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            self._waiting.pop(token, None)

    def _pending(self, token: str) -> _Waiting:
        with self._lock:
            waiting = self._waiting.get(token)
            if waiting is None or waiting.answered.is_set():
                raise KeyError(f"no callback step waits for token {token}")
            return waiting
