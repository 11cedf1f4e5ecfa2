"""The roles of the API's functions as they are in an account once deployed: read back from IAM, whole."""

from collections.abc import Iterator

import pytest

from local.emulator.environment import ACCOUNT, REGION
from tests.infra.synth import Synthesized, actions_of
from tests.infra.templates import listed
from tests.local.emulator.conftest import ASSETS, Account

pytestmark = pytest.mark.e2e

RAW = f"arn:aws:s3:::tally-dev-raw-{ACCOUNT}-{REGION}"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
LOG = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/tally-dev"

OF_BOTH = {("xray:PutTelemetryRecords", "*"), ("xray:PutTraceSegments", "*"), ("kms:Decrypt", "KEY")}
MAY = {
    "tally-dev-api": {
        ("sagemaker:InvokeEndpoint", f"{SAGEMAKER}:endpoint/tally-dev"),
        ("s3:GetObject", f"{RAW}/photos/*"),
        ("s3:GetObjectVersion", f"{RAW}/photos/*"),
        ("logs:CreateLogStream", f"{LOG}-api:*"),
        ("logs:PutLogEvents", f"{LOG}-api:*"),
        *OF_BOTH,
    },
    "tally-dev-about": {
        ("sagemaker:DescribeEndpoint", f"{SAGEMAKER}:endpoint/tally-dev"),
        ("sagemaker:DescribeEndpointConfig", f"{SAGEMAKER}:endpoint-config/*"),
        ("sagemaker:DescribeModel", f"{SAGEMAKER}:model/*"),
        ("logs:CreateLogStream", f"{LOG}-about:*"),
        ("logs:PutLogEvents", f"{LOG}-about:*"),
        *OF_BOTH,
    },
}
"""Everything that each function may do. KEY is the platform's key."""


@pytest.fixture(scope="module")
def account(dev: Synthesized, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """dev's data and API, deployed into an emulated account."""
    running = Account(tmp_path_factory.mktemp("account"), module="tests.local.emulator.server")
    with running:
        where = {"LocationConstraint": REGION}
        running.client("s3").create_bucket(Bucket=ASSETS, CreateBucketConfiguration=where)
        for kind in ("data", "api"):
            running.deploy(dev.directory, f"tally-dev-{kind}")
        yield running


@pytest.mark.parametrize("function", MAY)
def test_the_deployed_role_may_do_this_and_nothing_more(account: Account, function: str) -> None:
    made = account.client("lambda").get_function_configuration(FunctionName=function)
    role, iam = made["Role"].rpartition("/")[2], account.client("iam")
    key = account.client("kms").describe_key(KeyId="alias/tally-dev")["KeyMetadata"]["Arn"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    assert "PermissionsBoundary" not in iam.get_role(RoleName=role)["Role"]
    statements = [
        statement
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
        for statement in iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    ]
    assert all(statement.keys() - {"Sid"} == {"Effect", "Action", "Resource"} for statement in statements)
    allowed = {
        (action, resource.replace(key, "KEY"))
        for statement in statements
        for action in actions_of(statement)
        for resource in listed(statement["Resource"])
    }
    assert allowed == MAY[function]


@pytest.mark.parametrize("function", MAY)
def test_only_lambda_may_take_the_role(account: Account, function: str) -> None:
    made = account.client("lambda").get_function_configuration(FunctionName=function)
    role = account.client("iam").get_role(RoleName=made["Role"].rpartition("/")[2])["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Allow", {"Service": "lambda.amazonaws.com"})
