"""Answers of ministack's own services, called in process."""

import json
from typing import Any


def accepted(reply: tuple[int, Any, bytes], type_name: str) -> dict[str, Any]:
    """The JSON answer; ValueError with the service's message when it refused."""
    status, _, body = reply
    answer: dict[str, Any] = json.loads(body or b"{}")
    if status >= 400:
        message = answer.get("message") or answer.get("Message") or body.decode()
        raise ValueError(f"{type_name}: {message}")
    return answer
