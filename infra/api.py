"""The API stack: POST /v1/predictions, from the internet to the endpoint."""

import json

from aws_cdk import Aws, CfnOutput, Duration, Environment, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import secure
from infra.arns import arn
from infra.constructs.account_logging import AccountLogging
from infra.constructs.custom_domain import CustomDomain
from infra.constructs.firewall import Firewall
from infra.constructs.permissions import allow
from infra.constructs.problems import add_problem_responses
from infra.data import DataStack
from infra.names import STAGE
from infra.settings import Settings

FUNCTION_SECONDS = 28  # API Gateway gives up after 29 and would hide the function's own answer

REQUEST_SCHEMA = apigateway.JsonSchema(
    schema=apigateway.JsonSchemaVersion.DRAFT4,
    title="Prediction",
    type=apigateway.JsonSchemaType.OBJECT,
    properties={
        "image_url": apigateway.JsonSchema(
            type=apigateway.JsonSchemaType.STRING, pattern="^https?://", max_length=2048
        ),
        "s3_uri": apigateway.JsonSchema(type=apigateway.JsonSchemaType.STRING, pattern="^s3://", max_length=1100),
    },
    additional_properties=False,
    one_of=[apigateway.JsonSchema(required=["image_url"]), apigateway.JsonSchema(required=["s3_uri"])],
)
"""Exactly one of the two. API Gateway checks only bodies sent as application/json; the handler checks all of them."""

ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",  # without the query string, which may carry what a caller should not have put there
    "status": "$context.status",
    "responseBytes": "$context.responseLength",
    "responseMs": "$context.responseLatency",
    "integrationMs": "$context.integrationLatency",
    "apiKeyId": "$context.identity.apiKeyId",  # its id, never its value
    "caller": "$context.identity.userArn",
    "error": "$context.error.responseType",
    "firewall": "$context.wafResponseCode",
    "trace": "$context.xrayTraceId",
}
"""One line of JSON a request. No headers, no query string, no body: none of them is needed, all may hold secrets."""


class ApiStack(Stack):
    """REST API, its firewall and the function that fetches a photo and asks the endpoint."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(
            scope,
            settings.names.stack("api"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: the HTTPS API that answers with a count",
        )
        self.settings = settings
        self.data = data
        self.function = self._function()
        self.api = self._api()
        self._method()
        add_problem_responses(self.api)
        Firewall(self, "Firewall", settings, key=data.key, stage_arn=self.api.deployment_stage.stage_arn)
        self.api.node.try_remove_child("Endpoint")  # CDK's output of the address; Url below is the one in use
        url = self.api.url
        if settings.api.domain_name:
            url = CustomDomain(self, "Domain", settings.api, stage=self.api.deployment_stage).url
        CfnOutput(self, "Url", value=url, description="Address of the API; POST predictions below it")
        if settings.api.auth == "api_key":
            self._api_key()

    def _function(self) -> lambda_.Function:
        names, api = self.settings.names, self.settings.api
        buckets = [names.bucket("raw", self.account, self.region), *api.extra_buckets]
        function = secure.function(
            self,
            "Function",
            settings=self.settings,
            key=self.data.key,
            task="api",
            folder="api",
            description="Fetches a photo and asks the endpoint for its count",
            timeout=Duration.seconds(FUNCTION_SECONDS),
            memory=1024,  # MB; CPU comes with it, and TLS handshakes and a photo of 6 MB want some
            environment={
                "ENDPOINT_NAME": names.endpoint,
                "BUCKETS": ",".join(buckets),
                "ALLOW_HTTP": str(api.allow_http).lower(),
                "MODEL_PACKAGE_GROUP": names.model_package_group,
            },
        )
        role = secure.role_of(function)
        endpoint = arn("sagemaker", f"endpoint/{names.endpoint}")
        allow(role, "Endpoint", ["sagemaker:InvokeEndpoint"], [endpoint])
        photos = [f"arn:{Aws.PARTITION}:s3:::{name}" for name in buckets]
        allow(
            role,
            "Photos",
            ["s3:GetObject"],
            [f"{bucket}/*" for bucket in photos],
            why_wildcard="Callers name the photo; these are the buckets they may name.",
        )
        # without this one S3 says "denied" where it could say "no such photo"
        allow(role, "MissingPhotos", ["s3:ListBucket"], photos)
        secure.acknowledge(
            function,
            "Serverless-LambdaDLQ",
            "API Gateway calls it and waits: a failure is the caller's answer, and no event is lost.",
        )
        return function

    def _method(self) -> None:
        api_key = self.settings.api.auth == "api_key"
        method = self.api.root.add_resource("predictions").add_method(
            "POST",
            apigateway.LambdaIntegration(self.function, timeout=Duration.seconds(29), allow_test_invoke=False),
            api_key_required=api_key,
            authorization_type=apigateway.AuthorizationType.NONE if api_key else apigateway.AuthorizationType.IAM,
            request_models={"application/json": self.api.add_model("Prediction", schema=REQUEST_SCHEMA)},
            request_validator=self.api.add_request_validator(
                "Validator", validate_request_body=True, validate_request_parameters=True
            ),
        )
        secure.acknowledge(
            method,
            "AwsSolutions-COG4",
            "Callers are programs of the team, not people: they have API keys or IAM roles.",
        )
        if api_key:
            secure.acknowledge(
                method, "AwsSolutions-APIG4", "API keys are required; where they are too little, set api.auth to iam."
            )

    def _api_key(self) -> None:
        """One key to begin with; make one more for every further client, in the same plan."""
        api = self.settings.api
        plan = self.api.add_usage_plan(
            "Plan",
            name=self.settings.names.base,
            description="What one API key may send",
            throttle=apigateway.ThrottleSettings(rate_limit=api.requests_per_second, burst_limit=api.burst),
            quota=apigateway.QuotaSettings(limit=api.requests_per_day, period=apigateway.Period.DAY),
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
        )
        key = self.api.add_api_key("Key", description=f"First client of {self.settings.names.base}")
        plan.add_api_key(key)
        CfnOutput(self, "ApiKeyId", value=key.key_id, description="aws apigateway get-api-key --include-value shows it")

    def _api(self) -> apigateway.RestApi:
        api = self.settings.api
        access_log = secure.log_group(
            self,
            "AccessLog",
            settings=self.settings,
            key=self.data.key,
            name=f"/aws/apigateway/{self.settings.names.base}/access",
        )
        rest_api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=self.settings.names.base,
            description="Counts the objects in photos of warehouse bins",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,  # AccountLogging
            disable_execute_api_endpoint=bool(api.domain_name),  # one address, so that one certificate is in use
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=api.requests_per_second,
                throttling_burst_limit=api.burst,
                metrics_enabled=True,
                tracing_enabled=True,
                # errors only: every request has its line in the access log already, and INFO adds ten per request
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(ACCESS_LOG)),
            ),
        )
        # API Gateway makes this group at the first error, unencrypted and for ever, unless it is there already
        execution_log = secure.log_group(
            self,
            "ExecutionLog",
            settings=self.settings,
            key=self.data.key,
            name=f"API-Gateway-Execution-Logs_{rest_api.rest_api_id}/{STAGE}",
        )
        account = AccountLogging(self, "AccountLogging").account
        rest_api.deployment_stage.node.add_dependency(account, execution_log)
        return rest_api
