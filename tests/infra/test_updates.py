"""An update of a deployed platform replaces nothing that is in use.

CloudFormation knows a resource by its logical id: under another one it makes a second and deletes the first, with its
data, its address or its keys; where the name is fixed, it fails. CDK makes ids of the places in the code, so moving
code can do that. Who changes an id here has thought of those who have deployed.
"""

import pytest

from tests.infra.synth import Synthesized

IN_USE = {
    "data": {
        "Key961B73FD": "AWS::KMS::Key",
        "AccessLogs8B620ECA": "AWS::S3::Bucket",
        "Raw72517081": "AWS::S3::Bucket",
        "Artifacts82DD59A1": "AWS::S3::Bucket",
        "NoticesCD1BD20F": "AWS::SNS::Topic",
        "NetworkVpc7FB7348F": "AWS::EC2::VPC",
    },
    "serving": {
        "Endpoint": "AWS::SageMaker::Endpoint",
        "ScalingTargetD18E316D": "AWS::ApplicationAutoScaling::ScalableTarget",
    },
    "release": {
        "Queue4A7E3555": "AWS::SQS::Queue",
        "DeadLettersBBF8BAAB": "AWS::SQS::Queue",
    },
    "training": {
        "Models": "AWS::SageMaker::ModelPackageGroup",
        "Pipeline": "AWS::SageMaker::Pipeline",
    },
    "api": {
        "ApiF70053CD": "AWS::ApiGateway::RestApi",  # its id is the address
        "ApiDeploymentStagev102147F91": "AWS::ApiGateway::Stage",
        "ApiPlan25F8B52C": "AWS::ApiGateway::UsagePlan",
        "ApiKey679C99C7": "AWS::ApiGateway::ApiKey",
        "ApipredictionsF1CB1081": "AWS::ApiGateway::Resource",
        "ApiPrediction8AAA03B7": "AWS::ApiGateway::Model",
        "Function76856677": "AWS::Lambda::Function",
        "FunctionLog05E39BEF": "AWS::Logs::LogGroup",
        "FirewallAclD0B8A356": "AWS::WAFv2::WebACL",
    },
}
"""By stack: what has data, an address, or a name that others hold."""


@pytest.mark.parametrize("stack", IN_USE)
def test_what_is_in_use_keeps_its_logical_id(prod: Synthesized, stack: str) -> None:
    kinds = {id_: item["Type"] for id_, item in prod.templates[stack]["Resources"].items()}
    assert {id_: kinds.get(id_) for id_ in IN_USE[stack]} == IN_USE[stack]


def test_only_what_others_call_by_name_has_a_fixed_one(prod: Synthesized) -> None:
    """A name may be fixed only where it must: a resource with one cannot be replaced while it is there."""
    assert prod.only("api", "AWS::ApiGateway::RestApi")["Name"] == "tally-prod"
    assert prod.only("serving", "AWS::SageMaker::Endpoint")["EndpointName"] == "tally-prod"
    assert "Name" not in prod.only("api", "AWS::ApiGateway::Model")  # its schema changes with the document
    assert "ModelName" not in prod.only("serving", "AWS::SageMaker::Model")
