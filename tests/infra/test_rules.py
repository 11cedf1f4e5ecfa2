"""Rules that others wrote: cdk-nag, cfn-lint, and CDK's own validation of templates."""

import json
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint

from infra.settings import read_settings
from tests.infra.conftest import ENVIRONMENTS, AppOf
from tests.infra.synth import IMAGES, contexts

LINT_EXCEPT = {
    "W3005": "CDK makes a resource depend on a role and its policies at once; the policies are what matters, and that "
    "the role is named twice harms nothing",
}
"""Rules of cfn-lint that do not count, each with its reason."""


def findings(directory: Path) -> dict[str, set[str]]:
    """What the plugins of the app found in a synthesis, by plugin: errors and warnings."""
    report = json.loads((directory / "validation-report.json").read_text())
    return {
        plugin["pluginName"]: {f"{found['severity']} {found['ruleName']}" for found in plugin["violations"]}
        for plugin in report["pluginReports"]
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_synthesis_reports_nothing(app_of: AppOf, environment: str) -> None:
    assert findings(app_of(environment).directory) == {}


@pytest.mark.e2e
def test_each_plugin_fails_a_synthesis(tmp_path: Path) -> None:
    """cdk-nag's two packs and CDK's own rules belong to the app itself, so that nobody deploys past them."""
    from aws_cdk import CfnResource  # takes seconds, and a Node process
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sqs as sqs

    from infra.app import build, new_app

    app = new_app(str(tmp_path))
    stacks = build(app, read_settings(contexts("dev")["environments"], "dev", IMAGES))
    s3.Bucket(stacks.serving, "Open")
    sqs.Queue(stacks.release, "Plain")
    CfnResource(stacks.operations, "Nowhere", type="AWS::SNS::Subscription", properties={"TopicArn": "arn"})
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    found = findings(tmp_path)
    assert "error AwsSolutions-S10" in found["AwsSolutions"]
    assert found["Serverless"]
    assert "error F3003" in found["CloudFormation Validate"]  # a subscription without its Protocol


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_cfn_lint_finds_nothing(app_of: AppOf, environment: str) -> None:
    for kind, template in app_of(environment).templates.items():
        matches = lint(json.dumps(template), config=ManualArgs(regions=["eu-central-1"]))
        found = [f"{item.rule.id} {item.path} {item.message}" for item in matches if item.rule.id not in LINT_EXCEPT]
        assert not found, kind


def test_cfn_lint_finds_a_property_that_does_not_exist(app_of: AppOf) -> None:
    template = json.loads(json.dumps(app_of("dev").templates["serving"]))
    template["Resources"]["Endpoint"]["Properties"]["RetainAllProperties"] = True
    matches = lint(json.dumps(template), config=ManualArgs(regions=["eu-central-1"]))
    assert "RetainAllProperties" in "".join(item.message for item in matches)
