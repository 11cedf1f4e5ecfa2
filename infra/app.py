"""The stacks of one environment, in the order they are deployed."""

import json
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.api import ApiStack
from infra.data import DataStack
from infra.names import COST_TAG
from infra.network import Network
from infra.operations import OperationsStack
from infra.release import ReleaseStack
from infra.serving import ServingStack
from infra.settings import Settings, SettingsError, read_settings
from infra.training import TrainingStack

# Behaviour of the library that has to be asked for; here and not in cdk.json, so that tests get the same.
FEATURES = {
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/core:defaultCrossStackReferences": "strong",  # what another stack uses cannot be taken away
    "@aws-cdk/core:validateAgainstDefaultRules": True,
    "aws:cdk:disable-creation-stack-traces": True,  # they name temporary folders of this machine
}


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """What `build` made."""

    data: DataStack
    serving: ServingStack
    release: ReleaseStack
    training: TrainingStack
    api: ApiStack
    operations: OperationsStack


def new_app(outdir: str | None = None) -> cdk.App:
    """An app that behaves the same whoever makes it: the CLI's command or a test."""
    return cdk.App(
        context=FEATURES,
        outdir=outdir,
        stack_traces=False,
        # Without the rule, which is a parameter read from SSM: whoever updates a stack would need to read it too, the
        # release functions among them. The CLI itself checks the version of the bootstrap stack.
        default_stack_synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
    )


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
    network = Network(data, settings, data)
    release = ReleaseStack(app, settings, data)
    stacks = Stacks(
        data=data,
        serving=ServingStack(app, settings, data, network),
        release=release,
        training=TrainingStack(app, settings, data, release, network),
        api=ApiStack(app, settings, data),
        operations=OperationsStack(app, settings, data),
    )
    cdk.Tags.of(app).add(COST_TAG, settings.names.base)  # what the budget counts by
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True), ServerlessChecks(app, verbose=True))
    return stacks
