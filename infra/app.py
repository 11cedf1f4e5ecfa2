"""The stacks of one environment, in the order they are deployed."""

import json
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.data import DataStack
from infra.settings import Settings, SettingsError, read_settings

# Behaviour of the library that has to be asked for; here and not in cdk.json, so that tests get the same.
FEATURES = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/core:validateAgainstDefaultRules": True,
}


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """What `build` made."""

    data: DataStack


def settings_of(app: cdk.App) -> Settings:
    """Settings that the CLI's context asks for: `-c env=NAME`, and `-c overrides=JSON` merged over them.

    SettingsError says which of the two is wrong and what is allowed.
    """
    text = app.node.try_get_context("overrides") or "{}"
    try:
        overrides: Any = json.loads(text)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"-c overrides is not JSON ({error}): {text!r}") from error
    if not isinstance(overrides, dict):
        raise SettingsError(
            f'-c overrides is {text!r}; it must be an object such as {{"serving": {{"max_instances": 4}}}}'
        )
    return read_settings(app.node.try_get_context("environments"), app.node.try_get_context("env"), overrides)


def build(app: cdk.App, settings: Settings) -> Stacks:
    """Add the stacks to the app, with the rules that a synthesis must pass."""
    data = DataStack(app, settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True), ServerlessChecks(app, verbose=True))
    return Stacks(data=data)
