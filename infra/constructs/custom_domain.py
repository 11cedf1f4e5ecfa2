"""The API under a name of one's own."""

from aws_cdk import CfnOutput
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from infra.names import STAGE
from infra.settings import Api


class CustomDomain(Construct):
    """`api.domain_name` with `api.certificate_arn`, TLS 1.2 or newer; paths stay those of the stage's own address."""

    def __init__(self, scope: Construct, construct_id: str, settings: Api, *, stage: apigateway.Stage) -> None:
        super().__init__(scope, construct_id)
        name = apigateway.CfnDomainName(
            self,
            "Name",
            domain_name=settings.domain_name,
            regional_certificate_arn=settings.certificate_arn,
            security_policy="TLS_1_2",
            endpoint_configuration=apigateway.CfnDomainName.EndpointConfigurationProperty(types=["REGIONAL"]),
        )
        apigateway.CfnBasePathMapping(
            self,
            "Mapping",
            domain_name=name.ref,
            base_path=STAGE,
            rest_api_id=stage.rest_api.rest_api_id,
            stage=stage.stage_name,
        )
        CfnOutput(
            self,
            "Target",
            value=name.attr_regional_domain_name,
            description=f"Point a CNAME record of {settings.domain_name} at this name",
        )
        self.url = f"https://{settings.domain_name}/{STAGE}/"
