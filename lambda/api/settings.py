"""What the stack configures for the function that counts, read from its environment."""

import os
from dataclasses import dataclass

from decisions import Thresholds
from storage import Sources


class SettingsError(ValueError):
    """The function was deployed with settings that it cannot work with. Its words go into the log."""


@dataclass(frozen=True)
class Settings:
    """Which endpoint is asked, where photos may come from, and when they pass."""

    endpoint: str
    sources: Sources
    allow_http: bool
    thresholds: Thresholds

    @classmethod
    def read(cls) -> "Settings":
        """The settings of this function; SettingsError names the variable that is missing or wrong."""
        try:
            return cls(
                variable("ENDPOINT_NAME"),
                Sources.parse(variable("S3_SOURCES", "")),
                variable("ALLOW_HTTP", "false") == "true",
                Thresholds(
                    float(variable("PASS_PROBABILITY", str(Thresholds.pass_probability))),
                    float(variable("FAIL_PROBABILITY", str(Thresholds.fail_probability))),
                ),
            )
        except ValueError as error:
            raise SettingsError(f"{error}; deploy the api stack again") from error


def variable(name: str, default: str | None = None) -> str:
    """An environment variable; SettingsError where it is neither set nor has a default."""
    value = os.environ.get(name, default)
    if value is None or (default is None and not value):
        raise SettingsError(f"the environment variable {name} is not set")
    return value
