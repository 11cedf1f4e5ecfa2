"""Which environments there are: cdk.json, read the way the CDK app reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.settings import Settings, SettingsError, read_settings
from ops.errors import OpsError

REPOSITORY = Path(__file__).resolve().parents[1]


def load(environment: str, overrides: Mapping[str, Any] | None = None, file: Path | None = None) -> Settings:
    """Settings of an environment of cdk.json (`file`), with `overrides` merged over them.

    OpsError names the environment or the key that cannot be used, and what is allowed.
    """
    path = file or REPOSITORY / "cdk.json"
    try:
        context = json.loads(path.read_text())["context"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OpsError(f"{path}: {error}; it must be JSON with a 'context' that holds 'environments'") from error
    try:
        return read_settings(context.get("environments"), environment, overrides)
    except SettingsError as error:
        raise OpsError(str(error)) from error


def parse_overrides(text: str | None) -> dict[str, Any]:
    """`--overrides` as typed: a JSON object with an environment's shape."""
    if not text:
        return {}
    try:
        values = json.loads(text)
    except ValueError as error:
        raise OpsError(
            f'--overrides is not JSON: {error}; write it like \'{{"serving": {{"min_instances": 2}}}}\''
        ) from error
    if not isinstance(values, dict):
        raise OpsError(f'--overrides is {text}; it must be an object such as \'{{"serving": {{"min_instances": 2}}}}\'')
    return values
