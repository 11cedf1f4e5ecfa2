"""An account in moto's server over a socket, with small stacks that have the names, parameters and outputs of ours."""

import json
import urllib.request
from typing import Any

import pytest

from infra.settings import Settings
from ops.account import Account

RAW, ARTIFACTS = "tally-dev-raw-123456789012-eu-west-1", "tally-dev-artifacts-123456789012-eu-west-1"


def template(resources: dict[str, Any], **outputs: Any) -> str:
    """A CloudFormation template."""
    return json.dumps({"Resources": resources, "Outputs": {name: {"Value": value} for name, value in outputs.items()}})


def bucket(name: str, **attributes: str) -> dict[str, Any]:
    """A bucket as a resource."""
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}, **attributes}


@pytest.fixture
def environ(moto: str) -> dict[str, str]:
    """Environment variables that lead to an empty account."""
    request = urllib.request.Request(f"{moto}/moto-api/reset", method="POST")  # noqa: S310  # our own server
    urllib.request.urlopen(request).close()  # noqa: S310
    return {
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


@pytest.fixture
def account(environ: dict[str, str]) -> Account:
    """The environment dev, nothing deployed."""
    return Account(Settings(environment="dev"), environ)


@pytest.fixture
def data_stack(account: Account) -> str:
    """Deploys the data stack's buckets; the raw bucket's name."""
    body = template(
        {"Raw": bucket(RAW), "Artifacts": bucket(ARTIFACTS)},
        RawBucket={"Ref": "Raw"},
        ArtifactsBucket={"Ref": "Artifacts"},
    )
    account.client("cloudformation").create_stack(StackName="tally-dev-data", TemplateBody=body)
    for name in (RAW, ARTIFACTS):  # moto's CloudFormation leaves it out
        account.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return RAW


@pytest.fixture
def serving_stack(account: Account) -> None:
    """Deploys a serving stack without a model."""
    body = {
        "Parameters": {"ModelPackageArn": {"Type": "String", "Default": ""}},
        "Resources": {"Alarms": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "serving"}}},
    }
    account.client("cloudformation").create_stack(StackName="tally-dev-serving", TemplateBody=json.dumps(body))


@pytest.fixture
def group(account: Account, serving_stack: None) -> str:
    """An empty model package group."""
    account.client("sagemaker").create_model_package_group(ModelPackageGroupName="tally-dev")
    return "tally-dev"


def register(account: Account, *, verdict: str | None = "promote", status: str = "PendingManualApproval") -> str:
    """Put a package into the group as the pipeline does; its ARN."""
    metadata = {} if verdict is None else {"verdict": verdict, "gain": "0.03871", "p_value": "0.000001"}
    arn: str = account.client("sagemaker").create_model_package(
        ModelPackageGroupName="tally-dev",
        ModelApprovalStatus=status,
        CustomerMetadataProperties=metadata,
        InferenceSpecification={
            "Containers": [{"Image": "serve", "ModelDataUrl": "s3://artifacts/model.tar.gz"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    return arn


def serve(account: Account, arn: str) -> None:
    """Put a package into service, as the release function does."""
    account.client("cloudformation").update_stack(
        StackName="tally-dev-serving",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "ModelPackageArn", "ParameterValue": arn}],
    )
