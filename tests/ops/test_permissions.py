"""The policy that CloudFormation is given instead of AdministratorAccess."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.app import build, new_app
from ops.account import Account
from ops.environments import load
from ops.permissions import MOST_CHARACTERS, execution_policy

SERVICES = {"ApplicationAutoScaling": "application-autoscaling", "CDK": None, "SSM": None}
IMAGES = {"images": {"train": "tally-train:1", "serve": "tally-serve:1"}}


@pytest.fixture
def policy(account: Account) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = execution_policy(account)["Statement"]
    return statements


def test_it_fits_into_a_managed_policy(account: Account) -> None:
    assert len(json.dumps(execution_policy(account), separators=(",", ":"))) <= MOST_CHARACTERS


def test_it_knows_every_service_of_every_stack(policy: list[dict[str, Any]], tmp_path: Path) -> None:
    allowed = {action.split(":")[0] for statement in policy for action in statement["Action"]}
    app = new_app(str(tmp_path))
    build(app, load("prod", IMAGES))
    app.synth(validate_on_synthesis=False)
    templates = [json.loads(file.read_text()) for file in tmp_path.glob("*.template.json")]
    types = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    assert len(types) > 30
    services = {SERVICES.get(kind.split("::")[1], kind.split("::")[1].lower()) for kind in types} - {None}
    assert services <= allowed


def test_no_statement_allows_everything(policy: list[dict[str, Any]]) -> None:
    for statement in policy:
        assert "*" not in statement["Action"]
        if statement["Resource"] == ["*"]:
            assert not [action for action in statement["Action"] if action.endswith(":*")], statement["Sid"]


def test_roles_and_buckets_of_others_are_out_of_reach(policy: list[dict[str, Any]]) -> None:
    for statement in policy:
        if any(action.startswith(("iam:", "s3:")) for action in statement["Action"]):
            for resource in statement["Resource"]:
                assert (
                    ":role/tally-" in resource
                    or ":role/aws-service-role/" in resource
                    or (resource.startswith(("arn:aws:s3:::tally-", "arn:aws:s3:::cdk-")))
                )
