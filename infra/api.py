"""The API stack: what its document says, from the internet to the endpoint."""

import json

from aws_cdk import CfnOutput, Duration, Environment, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import secure
from infra.constructs.account_logging import AccountLogging
from infra.constructs.api_functions import about_function, predictions_function
from infra.constructs.custom_domain import CustomDomain
from infra.constructs.firewall import Firewall
from infra.constructs.problems import add_problem_responses
from infra.constructs.request_models import add_request_model
from infra.data import DataStack
from infra.document import JSON, Route, binary_media_types, routes
from infra.names import STAGE
from infra.settings import Settings

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
    """REST API, its firewall and its two functions: `function` counts, `about` says what the API is and how it is."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack) -> None:
        super().__init__(
            scope,
            settings.names.stack("api"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: the HTTPS API that answers with a count",
        )
        self.settings = settings
        self.data = data
        self.function = predictions_function(self, settings, data)
        self.about = about_function(self, settings, data)
        self.api = self._api()
        validator = self.api.add_request_validator(
            "Validator", validate_request_body=True, validate_request_parameters=True
        )
        functions = {"predict": self.function, "health": self.about, "openapi": self.about}
        for route in routes():
            self._route(route, functions[route.operation], validator)
        add_problem_responses(self.api)
        Firewall(self, "Firewall", settings, key=data.key, stage_arn=self.api.deployment_stage.stage_arn)
        self.api.node.try_remove_child("Endpoint")  # CDK's output of the address; Url below is the one in use
        url = self.api.url
        if settings.api.domain_name:
            url = CustomDomain(self, "Domain", settings.api, stage=self.api.deployment_stage).url
        CfnOutput(self, "Url", value=url, description="Address of the API; POST predictions below it")
        if settings.api.auth == "api_key":
            self._api_key()

    def _route(self, route: Route, function: lambda_.Function, validator: apigateway.IRequestValidator) -> None:
        api_key = self.settings.api.auth == "api_key"
        # bodies of other media types pass, and the function judges them
        models = {JSON: add_request_model(self.api, "Prediction", route.bodies[JSON])} if JSON in route.bodies else None
        method = self.api.root.add_resource(route.path).add_method(
            route.method,
            apigateway.LambdaIntegration(function, timeout=Duration.seconds(29), allow_test_invoke=False),
            api_key_required=api_key,
            authorization_type=apigateway.AuthorizationType.NONE if api_key else apigateway.AuthorizationType.IAM,
            request_models=models,
            request_validator=validator,
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
            binary_media_types=binary_media_types(),
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
