"""The serving stack: the one model in service, and nothing before there is one.

The stack's parameter ModelPackageArn decides. Releases change it (`lambda/deploy`); `cdk deploy` passes the value in
force again. The stack imports from the data stack only and exports nothing, so that no other stack can block a release.
"""

from aws_cdk import Aws, CfnCondition, CfnOutput, CfnParameter, CfnResource, Environment, Fn, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IConstruct

from infra import secure
from infra.alarms import rollback_alarms
from infra.arns import arn, bucket_arn
from infra.constructs.autoscaling import EndpointScaling
from infra.constructs.local_disk import has_local_disk
from infra.constructs.permissions import allow, allow_interfaces
from infra.constructs.rollback import RollbackAlarms
from infra.data import CAPTURE, EXECUTIONS, DataStack
from infra.images import Images
from infra.names import MODEL_PACKAGE_PARAMETER, VARIANT
from infra.network import Network
from infra.settings import Settings

_PACKAGE_ARN = r"(arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/[A-Za-z0-9-]{1,63}/\d{1,9})?"


class ServingStack(Stack):
    """Model, endpoint configuration, endpoint, scaling and rollback alarms, all under the condition HasModel."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack, network: Network) -> None:
        super().__init__(
            scope,
            settings.names.stack("serving"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: the model in service. Releases set ModelPackageArn; do not set it by hand.",
        )
        self.settings = settings
        self.data = data
        self.network = network
        self.package = CfnParameter(
            self,
            MODEL_PACKAGE_PARAMETER,
            type="String",
            default="",
            allowed_pattern=_PACKAGE_ARN,
            constraint_description="must be the ARN of a model package version, or empty for no model in service",
            description="Model package in service; set by releases, empty before the first one.",
        )
        self.has_model = CfnCondition(
            self,
            "HasModel",
            expression=Fn.condition_not(Fn.condition_equals(self.package.value_as_string, "")),
        )
        self.log_group = secure.log_group(
            self, "EndpointLogs", settings=settings, key=data.key, name=f"/aws/sagemaker/Endpoints/{self._name}"
        )
        self.role = self._execution_role()

        model = self._model()
        config = self._endpoint_config(model)
        rollback = RollbackAlarms(self, "Rollback", settings, endpoint_config_name=config.attr_endpoint_config_name)
        endpoint = self._endpoint(config, rollback)
        scaling = EndpointScaling(self, "Scaling", settings, endpoint_name=endpoint.attr_endpoint_name)
        for part in (model, config, rollback, endpoint, scaling):
            self._only_with_model(part)
        CfnOutput(
            self,
            "EndpointName",
            value=endpoint.attr_endpoint_name,
            description="Endpoint of the model in service",
            condition=self.has_model,
        )

    @property
    def _name(self) -> str:
        return self.settings.names.endpoint

    @property
    def _artifacts(self) -> str:
        """By name: an import would keep the data stack from changing the bucket's export as long as this one stands."""
        return self.settings.names.bucket("artifacts", self.account, self.region)

    def _only_with_model(self, part: IConstruct) -> None:
        for child in part.node.find_all():
            if isinstance(child, CfnResource):
                child.cfn_options.condition = self.has_model

    def _model(self) -> sagemaker.CfnModel:
        """Image and model file come from the package: what was judged is what serves. Packages of the pipeline bring no
        environment; the one here only tells the server which package it serves, for its answers.
        """
        vpc = None
        if self.network.used:
            vpc = sagemaker.CfnModel.VpcConfigProperty(
                subnets=list(self.network.subnet_ids), security_group_ids=list(self.network.security_group_ids)
            )
        model = sagemaker.CfnModel(
            self,
            "Model",
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                model_package_name=self.package.value_as_string,
                environment={"TALLY_MODEL_PACKAGE": self.package.value_as_string},
            ),
            execution_role_arn=self.role.role_arn,
            enable_network_isolation=True,
            vpc_config=vpc,
        )
        model.node.add_dependency(self.role.node.find_child("DefaultPolicy"))  # the image is pulled with it
        return model

    def _endpoint_config(self, model: sagemaker.CfnModel) -> sagemaker.CfnEndpointConfig:
        serving = self.settings.serving
        config = sagemaker.CfnEndpointConfig
        return config(
            self,
            "Config",
            kms_key_id=None if has_local_disk(serving.instance_type) else self.data.key.key_arn,
            production_variants=[
                config.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.attr_model_name,
                    instance_type=serving.instance_type,
                    initial_instance_count=serving.min_instances,
                    initial_variant_weight=1,
                    routing_config=config.RoutingConfigProperty(
                        routing_strategy="LEAST_OUTSTANDING_REQUESTS"  # by chance is the default: queues grow apart
                    ),
                )
            ],
            data_capture_config=config.DataCaptureConfigProperty(
                enable_capture=serving.capture_percent > 0,
                initial_sampling_percentage=serving.capture_percent,
                destination_s3_uri=f"s3://{self._artifacts}/{CAPTURE}",
                kms_key_id=self.data.key.key_arn,
                capture_options=[
                    config.CaptureOptionProperty(capture_mode="Input"),
                    config.CaptureOptionProperty(capture_mode="Output"),
                ],
            ),
        )

    def _endpoint(self, config: sagemaker.CfnEndpointConfig, rollback: RollbackAlarms) -> sagemaker.CfnEndpoint:
        endpoint = sagemaker.CfnEndpoint
        return endpoint(
            self,
            "Endpoint",
            endpoint_name=self._name,
            endpoint_config_name=config.attr_endpoint_config_name,
            retain_all_variant_properties=True,  # a release keeps the number of instances that scaling has reached
            retain_deployment_config=False,  # the one below counts, not that of the last update
            deployment_config=endpoint.DeploymentConfigProperty(
                auto_rollback_configuration=endpoint.AutoRollbackConfigProperty(
                    alarms=[endpoint.AlarmProperty(alarm_name=alarm.ref) for alarm in rollback.alarms]
                ),
                blue_green_update_policy=endpoint.BlueGreenUpdatePolicyProperty(
                    traffic_routing_configuration=self._traffic(),
                    # the old instances stay through the last watch; what follows it needs no more waiting
                    termination_wait_in_seconds=0,
                    maximum_execution_timeout_in_seconds=2 * self.settings.serving.bake_minutes * 60 + 3600,
                ),
            ),
        )

    def _traffic(self) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
        """A canary, watched before and after the rest follows.

        A canary may be at most half of the instances, so one instance has none: all traffic moves at once, and the
        old instance is kept until the watch is over.
        """
        serving = self.settings.serving
        routing = sagemaker.CfnEndpoint.TrafficRoutingConfigProperty
        bake = serving.bake_minutes * 60
        if serving.min_instances < 2:
            return routing(type="ALL_AT_ONCE", wait_interval_in_seconds=bake)
        return routing(
            type="CANARY",
            canary_size=sagemaker.CfnEndpoint.CapacitySizeProperty(
                type="CAPACITY_PERCENT", value=serving.canary_percent
            ),
            wait_interval_in_seconds=bake,
        )

    def _execution_role(self) -> iam.Role:
        """What the container's host does before and beside it: image, model file, log, captured requests, metrics."""
        role = iam.Role(
            self,
            "ExecutionRole",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
            description="Pulls the image and the model in service, writes the endpoint's log and captured requests",
        )
        bucket = bucket_arn(self.settings, "artifacts")
        allow(
            role,
            "Model",
            ["s3:GetObject"],
            [f"{bucket}/{EXECUTIONS}/*"],
            why_wildcard="Each run leaves its model in a folder of its own, and any of them may be released.",
        )
        allow(
            role,
            "Capture",
            ["s3:PutObject"],
            [f"{bucket}/{CAPTURE}/*"],
            why_wildcard="SageMaker names the captured files by hour.",
        )
        allow(role, "Key", ["kms:Decrypt", "kms:GenerateDataKey"], [self.data.key.key_arn])
        allow(
            role,
            "Log",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [self.log_group.log_group_arn],
        )
        names = [self.settings.names.alarm(alarm.key) for alarm in rollback_alarms(self.settings)]
        allow(
            role,
            "RollbackAlarms",
            ["cloudwatch:DescribeAlarms"],
            [arn("cloudwatch", f"alarm:{name}") for name in names],
        )
        allow(
            role,
            "Metrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            why_wildcard="Metrics have no ARN; the condition names their namespaces.",
            conditions={"StringEquals": {"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]}},
        )
        Images(self.settings).allow_pull(role, "serve")
        allow_interfaces(role, self.network)
        return role
