"""ARNs of this account and region, known by name before the thing exists."""

from aws_cdk import Aws

from infra.settings import Settings


def arn(service: str, resource: str) -> str:
    """ARN of a resource, as in `arn("sagemaker", "endpoint/tally-dev")`."""
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"


def bucket_arn(settings: Settings, kind: str) -> str:
    """ARN of the bucket of a kind: raw, artifacts or access-logs."""
    return f"arn:{Aws.PARTITION}:s3:::{settings.names.bucket(kind, Aws.ACCOUNT_ID, Aws.REGION)}"
