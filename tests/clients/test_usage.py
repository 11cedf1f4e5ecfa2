"""What cannot be sent is said before anything is, whatever it is."""

import math
from pathlib import Path
from typing import Any

import pytest

from tally_client import Client, UsageError
from tally_client.__main__ import main

URL = "http://127.0.0.1:9/v1/"  # nothing is sent there


@pytest.mark.parametrize("timeout", ["30", None, True, 0, -1, 1e10, 1e300, math.nan, math.inf], ids=repr)
def test_a_timeout_is_seconds_up_to_an_hour(timeout: Any) -> None:
    with pytest.raises(UsageError, match="timeout"):
        Client(URL, "key", timeout=timeout)


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b", "no-such-file.jpg"], ids=ascii)
def test_a_file_that_cannot_be_read_is_a_usage_error(name: str) -> None:
    with Client(URL, "key") as tally, pytest.raises(UsageError, match="cannot be read"):
        tally.predict(photo=Path(name))


@pytest.mark.parametrize("key", [5, b"key", ""], ids=repr)
def test_an_idempotency_key_is_a_text(key: Any) -> None:
    with Client(URL, "key") as tally, pytest.raises(UsageError, match="idempotency_key"):
        tally.predict(image_url="https://example.com/1.jpg", idempotency_key=key)


@pytest.mark.parametrize("seconds", ["1e10", "1e300", "nan"])
def test_the_command_ends_with_2_for_what_it_cannot_do(
    seconds: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_API_KEY", "key")
    assert main(["health", "--url", URL, "--timeout", seconds]) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1


def test_an_error_that_nobody_thought_of_is_not_taken_for_a_decision(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("odd")

    monkeypatch.setenv("TALLY_API_KEY", "key")
    monkeypatch.setattr(Client, "health", fails)
    assert main(["health", "--url", URL]) == 2
    assert "odd" in capsys.readouterr().err
