"""The emulated account, and how its resources are named."""

ACCOUNT = "123456789012"
REGION = "eu-west-1"


def arn(kind: str, name: str) -> str:
    """ARN of a resource; SageMaker writes the name in small letters."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"


def last_part(name_or_arn: str) -> str:
    """The name in an ARN; a name as it is."""
    return name_or_arn.rpartition("/")[2]
