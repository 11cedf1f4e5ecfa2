"""The two functions of the API: one fetches photos and asks the endpoint, the other speaks about both.

They share their code and not their role: what may read photos answers requests for photos only.
"""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_lambda as lambda_

from infra import secure
from infra.arns import arn
from infra.constructs.permissions import allow
from infra.data import DataStack
from infra.settings import Settings

FUNCTION_SECONDS = 28  # API Gateway gives up after 29 and would hide the function's own answer
_FOLDER = "api"


def predictions_function(stack: Stack, settings: Settings, data: DataStack) -> lambda_.Function:
    """The function that counts. It may invoke the one endpoint and read what `settings.api` lets callers name."""
    names, api = settings.names, settings.api
    raw = names.bucket("raw", stack.account, stack.region)
    sources = [*(f"{raw}/{prefix}" for prefix in api.raw_prefixes), *api.extra_sources]
    function = secure.function(
        stack,
        "Function",
        settings=settings,
        key=data.key,
        task="api",
        folder=_FOLDER,
        description="Fetches a photo and asks the endpoint for its count",
        timeout=Duration.seconds(FUNCTION_SECONDS),
        memory=1024,  # MB; CPU comes with it, and TLS handshakes and a photo of 6 MB want some
        environment={
            "ENVIRONMENT": names.base,
            "ENDPOINT_NAME": names.endpoint,
            "S3_SOURCES": ",".join(sources),
            "ALLOW_HTTP": str(api.allow_http).lower(),
            "PASS_PROBABILITY": str(api.pass_probability),
            "FAIL_PROBABILITY": str(api.fail_probability),
        },
    )
    role = secure.role_of(function)
    allow(role, "Endpoint", ["sagemaker:InvokeEndpoint"], [arn("sagemaker", f"endpoint/{names.endpoint}")])
    if sources:
        # no s3:ListBucket, without which S3 does not tell a missing object from one that may not be read: so nobody
        # learns through the API what else is in the bucket
        allow(
            role,
            "Photos",
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"arn:{Aws.PARTITION}:s3:::{source}*" for source in sources],
            why_wildcard="Callers name the photo; these are the places they may name.",
        )
    _waited_for(function)
    return function


def about_function(stack: Stack, settings: Settings, data: DataStack) -> lambda_.Function:
    """The function that says which model is in service, and serves the API's document."""
    names = settings.names
    function = secure.function(
        stack,
        "About",
        settings=settings,
        key=data.key,
        task="about",
        folder=_FOLDER,
        handler="about.handler",
        description="Says whether photos can be counted and by which model, and what the API is",
        timeout=Duration.seconds(15),
        memory=256,
        environment={"ENDPOINT_NAME": names.endpoint},
    )
    role = secure.role_of(function)
    allow(role, "Endpoint", ["sagemaker:DescribeEndpoint"], [arn("sagemaker", f"endpoint/{names.endpoint}")])
    why = "CloudFormation names it anew at each release."
    configs, models = (arn("sagemaker", f"{kind}/*") for kind in ("endpoint-config", "model"))
    allow(role, "EndpointConfig", ["sagemaker:DescribeEndpointConfig"], [configs], why_wildcard=why)
    allow(role, "Model", ["sagemaker:DescribeModel"], [models], why_wildcard=why)
    _waited_for(function)
    return function


def _waited_for(function: lambda_.Function) -> None:
    secure.acknowledge(
        function,
        "Serverless-LambdaDLQ",
        "API Gateway calls it and waits: a failure is the caller's answer, and no event is lost.",
    )
