"""The training stack: the pipeline, the roles of its jobs, and what starts it."""

from aws_cdk import CfnOutput, Duration, Environment, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra import secure
from infra.arns import arn
from infra.constructs.job_roles import JobRoles
from infra.constructs.permissions import allow
from infra.constructs.run_notices import RunNotices
from infra.constructs.triggers import Triggers
from infra.data import DataStack
from infra.images import Images
from infra.names import COST_TAG
from infra.network import Network
from infra.release import ReleaseStack
from infra.settings import Settings, SettingsError
from pipeline import dumps
from pipeline.settings import PipelineSettings


class TrainingStack(Stack):
    """Read-only: the functions `champion` and `trigger`, and `dead_letters`: a queue of events that started no run."""

    def __init__(
        self, scope: Construct, settings: Settings, data: DataStack, release: ReleaseStack, network: Network
    ) -> None:
        super().__init__(
            scope,
            settings.names.stack("training"),
            env=Environment(account=settings.account, region=settings.region),
            description="Tally: the pipeline from photos to a judged model, and what starts it",
        )
        self.settings, self.data = settings, data
        self.images = Images(settings)
        self.roles = JobRoles(self, settings, data, self.images, network)
        self.champion = self._champion()
        group = self._model_package_group()
        made = self._pipeline(release, network)
        made.node.add_dependency(group, self.champion, self.roles)
        triggers = Triggers(self, settings, data)
        self.trigger, self.dead_letters = triggers.function, triggers.dead_letters
        RunNotices(self, settings, data, self.dead_letters)
        CfnOutput(self, "PipelineName", value=made.ref)
        CfnOutput(self, "TriggerFunction", value=self.trigger.function_name)

    def _model_package_group(self) -> sagemaker.CfnModelPackageGroup:
        group = sagemaker.CfnModelPackageGroup(
            self,
            "Models",
            model_package_group_name=self.settings.names.model_package_group,
            model_package_group_description="Models that passed the gate; approving one releases it",
        )
        group.apply_removal_policy(secure.removal(self.settings))
        return group

    def _champion(self) -> lambda_.Function:
        names = self.settings.names
        made = secure.function(
            self,
            "Champion",
            settings=self.settings,
            key=self.data.key,
            task="champion",
            folder="champion",
            description="Names the model in service, which a challenger must beat",
            timeout=Duration.seconds(60),
            memory=256,
            environment={"ENDPOINT_NAME": names.endpoint},
        )
        role = secure.role_of(made)
        allow(
            role,
            "FindEndpoint",
            ["sagemaker:ListEndpoints"],
            ["*"],
            why_wildcard="A list knows no resource; an endpoint that is not there cannot be described.",
        )
        allow(role, "Endpoint", ["sagemaker:DescribeEndpoint"], [arn("sagemaker", f"endpoint/{names.endpoint}")])
        allow(
            role,
            "ModelInService",
            ["sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"],
            [arn("sagemaker", "endpoint-config/*"), arn("sagemaker", "model/*")],
            why_wildcard="CloudFormation names both anew at each release.",
        )
        versions = arn("sagemaker", f"model-package/{names.model_package_group}/*")
        own = "Versions of this environment's own group."
        allow(role, "Package", ["sagemaker:DescribeModelPackage"], [versions], why_wildcard=own)
        secure.acknowledge(
            made, "Serverless-LambdaDLQ", "The pipeline calls it and waits: a failure fails the step, no event is lost."
        )
        return made

    def _pipeline(self, release: ReleaseStack, network: Network) -> sagemaker.CfnPipeline:
        """The definition goes into the template itself: with SageMaker's limit of 1 MB it has room to grow tenfold."""
        settings, names, training = self.settings, self.settings.names, self.settings.training
        try:
            definition = dumps(
                PipelineSettings(
                    name=names.pipeline,
                    region=self.region,
                    raw_bucket=self.data.raw.bucket_name,
                    artifacts_bucket=self.data.artifacts.bucket_name,
                    kms_key=self.data.key.key_arn,
                    processing_role=self.roles.processing.role_arn,
                    training_role=self.roles.training.role_arn,
                    train_image=self.images.uri(self, "train"),
                    serve_image=self.images.uri(self, "serve"),
                    champion_function_arn=self.champion.function_arn,
                    deploy_queue_url=release.queue.queue_url,
                    model_package_group=names.model_package_group,
                    subnets=network.subnet_ids,
                    security_group_ids=network.security_group_ids,
                    gpu=training.gpu,
                    spot=training.spot,
                    pretrained=training.pretrained,
                    weights_uri=training.weights_uri,
                    preprocess_instance_price=training.preprocess_instance_price,
                    hyperparameters=training.hyperparameters,
                    tags={COST_TAG: names.base},
                    parameters=training.parameters,
                )
            )
        except ValueError as error:
            raise SettingsError(f"environments.{settings.environment}.training: {error}") from error
        return sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=names.pipeline,
            pipeline_description="From photos to a judged, registered and released model",
            pipeline_definition={"PipelineDefinitionBody": definition},
            role_arn=self.roles.pipeline.role_arn,
        )
