"""Known errors of a deployment, as the CDK CLI or CloudFormation word them, and what the person is told to do."""

import pytest

from ops.remedies import reason, remedy

BOOTSTRAP = """
✨  Synthesis time: 6.09s

tally-dev-data: SSM parameter /cdk-bootstrap/hnb659fds/version not found in aws://123456789012/us-east-1. Has the \
environment been bootstrapped? Please run 'cdk bootstrap' (see https://docs.aws.amazon.com/cdk/latest/guide/bootstrapping.html)
Parameter /cdk-bootstrap/hnb659fds/version not found
‣ SsmParameterNotFound: SSM parameter /cdk-bootstrap/hnb659fds/version not found in aws://123456789012/us-east-1.
‣ ParameterNotFound: Parameter /cdk-bootstrap/hnb659fds/version not found"""
NO_CREDENTIALS = """✨  Synthesis time: 4.24s

Unable to resolve AWS account to use. It must be either configured when you define your CDK Stack, or through the \
environment"""
TAKEN = """
tally-dev-data | 3/12 | 3:35:22 AM | CREATE_FAILED           | AWS::S3::Bucket            | Raw (Raw72517081) \
tally-dev-raw-123456789012-eu-west-1 already exists
tally-dev-data | 3/12 | 3:35:23 AM | ROLLBACK_IN_PROGRESS    | AWS::CloudFormation::Stack | tally-dev-data
❌  tally-dev-data failed: ToolkitError: The stack named tally-dev-data failed creation, it may need to be manually \
deleted from the AWS console: ROLLBACK_COMPLETE: tally-dev-raw-123456789012-eu-west-1 already exists"""
SETTING = """app.py: environments.dev.serving.max_instances is 0; it must be 1 to 100
python app.py: Subprocess exited with error 1"""


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (BOOTSTRAP, "python -m ops bootstrap --env dev"),
        (NO_CREDENTIALS, "renew the credentials"),
        (TAKEN, "delete that bucket, or bring it back into the stack with `cdk import`"),
        ("‣ Error: connect ECONNREFUSED 127.0.0.1:9", "is `make up` running?"),
        ("ExpiredToken: The security token included in the request is expired", "renew the credentials"),
        ("Error: spawn docker ENOENT", "environments.dev.images.train and .serve in cdk.json"),
        (
            "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "Start Docker, or give finished images",
        ),
        (
            "CREATE_FAILED | AWS::SageMaker::Endpoint | Endpoint The account-level service limit 'ml.c5.large for "
            "endpoint usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1. "
            "(Service: SageMaker, Status Code: 400, ResourceLimitExceeded)",
            "ask for more under Service Quotas",
        ),
        (
            "tally-dev-serving is in UPDATE_ROLLBACK_FAILED state and can not be updated",
            "docs/operations.md, 'A stack is in UPDATE_ROLLBACK_FAILED'",
        ),
        (
            "Stack:arn:aws:cloudformation:eu-west-1:1:stack/tally-dev-serving/1 is in UPDATE_IN_PROGRESS state and can "
            "not be updated.",
            "python -m ops status --env dev",
        ),
        (
            "User: arn:aws:sts::1:assumed-role/cdk-cfn-exec is not authorized to perform: wafv2:CreateWebACL",
            "docs/deploy.md, 'Permissions'",
        ),
        ("ModuleNotFoundError: No module named 'aws_cdk'", "make deploy installs it"),
    ],
)
def test_a_known_error_comes_with_what_to_do(output: str, told: str) -> None:
    assert told in (remedy(output, "dev") or "")


def test_an_unknown_error_comes_without_advice() -> None:
    assert remedy("Template error: instance of Fn::GetAtt references undefined resource X", "dev") is None


@pytest.mark.parametrize(
    ("output", "first"),
    [
        (BOOTSTRAP, "SsmParameterNotFound: SSM parameter /cdk-bootstrap/"),
        (NO_CREDENTIALS, "Unable to resolve AWS account to use."),
        (TAKEN, "tally-dev-data | 3/12 | 3:35:22 AM | CREATE_FAILED "),
        (SETTING, "environments.dev.serving.max_instances is 0; it must be 1 to 100"),
    ],
)
def test_the_reason_is_the_line_that_says_why(output: str, first: str) -> None:
    assert reason(output).startswith(first)
