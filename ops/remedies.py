"""What to do about errors of a deployment: known patterns in the CDK CLI's and CloudFormation's output."""

import re

from ops.errors import ASK_QUOTA, RENEW

# First match wins: the particular ones before the general ones.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (
        r"AWS::S3::Bucket\b[^\n]*already exists|already exists[^\n]*AWS::S3::Bucket"
        r"|BucketAlreadyExists|BucketAlreadyOwnedByYou|ResourceExistenceCheck",
        "the bucket's name is taken. A former `destroy` with keep_data kept it: delete that bucket, or bring it back "
        "into the stack with `cdk import`. If it belongs to somebody else, set another `prefix` in cdk.json",
    ),
    (
        r"SSM parameter /cdk-bootstrap/|Has the environment been bootstrapped|toolkit stack.*(?:not|doesn't) exist"
        r"|This CDK deployment requires bootstrap stack version|No bucket named 'cdk-[^']*'",
        "the account has not been prepared for the CDK in this region: python -m ops bootstrap --env {environment}",
    ),
    (
        r"Cannot connect to the Docker daemon|docker: (?:command )?not found|spawn docker ENOENT"
        r"|Unable to execute 'docker'|docker (?:login|build).*(?:exited with|failed)",
        "the container images are built with Docker, which does not work here. Start Docker, or give finished images: "
        "environments.{environment}.images.train and .serve in cdk.json (docs/deploy.md, 'Images')",
    ),
    (
        r"ExpiredToken|security token included in the request is (?:expired|invalid)|InvalidClientTokenId"
        r"|SSO (?:session|token).*expired|Unable to resolve AWS account|Need to perform AWS calls for account"
        r"|no credentials have been configured|Could not load credentials|UnrecognizedClientException",
        RENEW,
    ),
    (
        r"ResourceLimitExceeded|ServiceQuotaExceeded|LimitExceeded|service limit|exceeds? (?:the )?quota"
        r"|quota exceeded",
        ASK_QUOTA,
    ),
    (
        r"UPDATE_ROLLBACK_FAILED",
        "a stack could not even go back: docs/operations.md, 'A stack is in UPDATE_ROLLBACK_FAILED'",
    ),
    (
        r"ROLLBACK_COMPLETE(?<!UPDATE_ROLLBACK_COMPLETE) state and can(?: ?not|'t) be updated"
        r"|is in ROLLBACK_COMPLETE|ROLLBACK_FAILED",
        "the stack's first deployment failed and left it unusable: mend the cause shown above and deploy again, the "
        "CDK then replaces it; if it says that it cannot, delete that stack in the console first",
    ),
    (
        r"_IN_PROGRESS state and can ?not be updated|is in [A-Z_]+_IN_PROGRESS",
        "a release or another deployment is at work on that stack: wait until "
        "`python -m ops status --env {environment}` shows it complete, and try again",
    ),
    (
        r"AccessDenied|is not authorized to perform|not authorized to perform: iam:PassRole",
        "the credentials, or the execution policy that the account was bootstrapped with, do not allow it: "
        "docs/deploy.md, 'Permissions'",
    ),
    (
        r"(?:getaddrinfo|connect) (?:ENOTFOUND|ECONNREFUSED|EAI_AGAIN)",
        "nothing answers at that address: check the network, the region and AWS_ENDPOINT_URL "
        "(the laptop: is `make up` running?)",
    ),
    (
        r"Cannot find module|ModuleNotFoundError|No module named",
        "a part of the tools is not installed: make deploy installs it",
    ),
)


def remedy(output: str, environment: str) -> str | None:
    """What to do about a failed CDK command with this output; None for an error that is not known."""
    for pattern, text in _REMEDIES:
        if re.search(pattern, output, re.IGNORECASE):
            return text.format(environment=environment)
    return None


def reason(output: str) -> str:
    """The lines of a failed CDK command's output that say why, at most a handful; empty when it printed nothing."""
    lines = [line.strip() for line in output.splitlines()]
    if ours := [line.removeprefix("app.py: ") for line in lines if line.startswith("app.py: ")]:
        return ours[-1]
    named = [line.removeprefix("‣").strip() for line in lines if line.startswith("‣")]
    failed = [line for line in lines if re.search(r"\| [A-Z_]+_FAILED\b|❌", line)]
    last = [line for line in lines if line and not line.startswith("✨")][-3:]
    if refused := [line for line in failed if "| VALIDATION_FAILED |" in line]:
        return "\n".join(refused)
    return "\n".join(dict.fromkeys([*failed[:3], *(named or failed[3:] or last)[-3:]]))
