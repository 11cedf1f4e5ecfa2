"""A small CDK app with one of everything that this platform's stacks lean on; run by the real CDK CLI in the tests."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_wafv2 as wafv2

FUNCTIONS = Path(__file__).parent / "functions"


class Events(cdk.Stack):
    """A bucket, a queue and a topic whose events call functions."""

    def __init__(self, app: cdk.App, name: str):
        super().__init__(app, name, stack_name=name)
        self.bucket = s3.Bucket(self, "Bucket", bucket_name=f"{name}-bucket", removal_policy=cdk.RemovalPolicy.DESTROY)
        self.bucket.node.default_child.add_property_override(  # type: ignore[union-attr]
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
        lost = sqs.Queue(self, "Lost", queue_name=f"{name}-lost")
        dead = sqs.Queue(self, "Dead", queue_name=f"{name}-dead")
        queue = sqs.Queue(
            self,
            "Queue",
            queue_name=f"{name}-queue",
            visibility_timeout=cdk.Duration.seconds(30),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=4),
        )
        seen = {"SEEN_BUCKET": self.bucket.bucket_name}
        self.echo = _function(self, "echo", seen, on_failure=destinations.SqsDestination(lost))
        batch = _function(self, "batch", seen | {"QUEUE_URL": queue.queue_url})
        batch.add_event_source(sources.SqsEventSource(queue, batch_size=5, report_batch_item_failures=True))
        heard = sqs.Queue(self, "Heard", queue_name=f"{name}-heard")
        topic = sns.Topic(self, "Topic", topic_name=f"{name}-topic")
        topic.add_subscription(subscriptions.SqsSubscription(heard, raw_message_delivery=True))
        uploads = events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [self.bucket.bucket_name]},
                "object": {"key": events.Match.suffix("/_SUCCESS")},
            },
        )
        events.Rule(self, "OnUpload", event_pattern=uploads, targets=[targets.LambdaFunction(self.echo)])
        text = events.RuleTargetInput.from_text(f"uploaded {events.EventField.from_path('$.detail.object.key')}")
        events.Rule(self, "OnUploadTell", event_pattern=uploads, targets=[targets.SnsTopic(topic, message=text)])
        statuses = events.EventPattern(
            source=["aws.cloudformation"],
            detail_type=["CloudFormation Stack Status Change"],
            detail={"stack-id": events.Match.prefix(f"arn:aws:cloudformation:{self.region}:{self.account}:stack/")},
        )
        events.Rule(self, "OnStatus", event_pattern=statuses, targets=[targets.SqsQueue(heard)])
        failing = events.EventPattern(source=["tests"], detail_type=["fail"])
        told = events.RuleTargetInput.from_object({"fail": True})
        events.Rule(self, "OnFailing", event_pattern=failing, targets=[targets.LambdaFunction(self.echo, event=told)])
        when = self.node.try_get_context("at")
        if when:
            once = scheduler_targets.LambdaInvoke(
                self.echo, input=scheduler.ScheduleTargetInput.from_object({"detail-type": "schedule"})
            )
            scheduler.Schedule(self, "Once", schedule=scheduler.ScheduleExpression.expression(when), target=once)


class Serving(cdk.Stack):
    """An endpoint that exists once a parameter names a model package."""

    def __init__(self, app: cdk.App, name: str):
        super().__init__(app, name, stack_name=name)
        package = cdk.CfnParameter(self, "ModelPackageArn", default="")
        has_model = cdk.CfnCondition(
            self, "HasModel", expression=cdk.Fn.condition_not(cdk.Fn.condition_equals(package.value_as_string, ""))
        )
        group = sagemaker.CfnModelPackageGroup(self, "Group", model_package_group_name=name)
        role = f"arn:aws:iam::{self.account}:role/serving"
        sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=name,
            role_arn=role,
            pipeline_definition={
                "PipelineDefinitionBody": self.to_json_string(
                    {"Version": "2020-12-01", "Metadata": {"Group": group.ref}, "Parameters": [], "Steps": []}
                )
            },
        )
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role,
            containers=[sagemaker.CfnModel.ContainerDefinitionProperty(model_package_name=package.value_as_string)],
        )
        config = sagemaker.CfnEndpointConfig(
            self,
            "Config",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    model_name=model.attr_model_name,
                    variant_name="AllTraffic",
                    initial_variant_weight=1,
                    initial_instance_count=1,
                    instance_type="ml.c5.large",
                )
            ],
        )
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=name,
            endpoint_config_name=config.attr_endpoint_config_name,
            retain_all_variant_properties=True,
        )
        target = scaling.CfnScalableTarget(
            self,
            "Target",
            min_capacity=1,
            max_capacity=int(self.node.try_get_context("max") or 4),
            resource_id=f"endpoint/{endpoint.attr_endpoint_name}/variant/AllTraffic",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            service_namespace="sagemaker",
        )
        policy = scaling.CfnScalingPolicy(
            self,
            "Policy",
            policy_name="invocations",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration={
                "targetValue": 100,
                "predefinedMetricSpecification": {"predefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            },
        )
        for resource in (model, config, endpoint, target, policy):
            resource.cfn_options.condition = has_model
        served = cdk.CfnOutput(self, "EndpointName", value=endpoint.attr_endpoint_name)
        served.condition = has_model


class Api(cdk.Stack):
    """An API with a key, a usage plan, a body model and a firewall; alarms and a budget."""

    def __init__(self, app: cdk.App, name: str):
        super().__init__(app, name, stack_name=name)
        function = _function(self, "echo", {})
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=name,
            deploy_options=apigateway.StageOptions(stage_name="v1"),
            cloud_watch_role=False,
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=["image/jpeg"],
        )
        api.add_gateway_response(
            "Long",
            type=apigateway.ResponseType.REQUEST_TOO_LARGE,
            response_headers={"Retry-After": "'7'", "Content-Type": "'application/problem+json'"},
            templates={"application/json": '{"code": "too_large", "request_id": "$context.requestId"}'},
        )
        model = api.add_model(
            "Body",
            content_type="application/json",
            schema=apigateway.JsonSchema(
                type=apigateway.JsonSchemaType.OBJECT,
                required=["say"],
                properties={"say": apigateway.JsonSchema(type=apigateway.JsonSchemaType.STRING)},
            ),
        )
        api.root.add_resource("echo").add_method(
            "POST",
            apigateway.LambdaIntegration(function),
            api_key_required=True,
            request_models={"application/json": model},
            request_validator=api.add_request_validator("Check", validate_request_body=True),
        )
        key = api.add_api_key("Key")
        plan = api.add_usage_plan(
            "Plan",
            throttle=apigateway.ThrottleSettings(rate_limit=50, burst_limit=20),
            api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
        )
        plan.add_api_key(key)
        firewall = wafv2.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action={"allow": {}},
            visibility_config={
                "cloudWatchMetricsEnabled": True,
                "metricName": "firewall",
                "sampledRequestsEnabled": False,
            },
        )
        wafv2.CfnWebACLAssociation(
            self, "Guard", resource_arn=api.deployment_stage.stage_arn, web_acl_arn=firewall.attr_arn
        )
        errors = function.metric_errors().create_alarm(self, "Errors", threshold=1, evaluation_periods=1)
        slow = function.metric_duration().create_alarm(self, "Slow", threshold=1, evaluation_periods=1)
        cloudwatch.CompositeAlarm(self, "Any", alarm_rule=cloudwatch.AlarmRule.any_of(errors, slow))
        budgets.CfnBudget(
            self,
            "Budget",
            budget={
                "budgetName": name,
                "budgetType": "COST",
                "timeUnit": "MONTHLY",
                "budgetLimit": {"amount": 100, "unit": "USD"},
            },
        )
        cdk.CfnOutput(self, "ApiId", value=api.rest_api_id)
        cdk.CfnOutput(self, "KeyId", value=key.key_id)


def _function(
    stack: cdk.Stack, name: str, environment: dict[str, str], *, on_failure: lambda_.IDestination | None = None
) -> lambda_.Function:
    return lambda_.Function(
        stack,
        f"Function-{name}",
        function_name=f"{stack.stack_name}-{name}",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="handler.handler",
        code=lambda_.Code.from_asset(str(FUNCTIONS / name)),
        environment=environment,
        timeout=cdk.Duration.seconds(10),
        on_failure=on_failure,
    )


def build() -> cdk.App:
    """Three stacks whose names begin with the context's `prefix`."""
    app = cdk.App()
    prefix = app.node.try_get_context("prefix") or "t"
    Events(app, f"{prefix}-events")
    Serving(app, f"{prefix}-serving")
    Api(app, f"{prefix}-api")
    return app


if __name__ == "__main__":
    build().synth()
