"""Roles of the jobs and of the pipeline that starts them: each may do what its own calls need.

Sources: "How to use SageMaker execution roles" and "IAM Access Management" of pipelines, SageMaker developer guide.
"""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import secure
from infra.data import DataStack
from infra.images import Images
from infra.network import Network
from infra.settings import Settings

EXECUTIONS = "executions"  # prefix of the artifacts bucket under which the pipeline puts everything


class JobRoles(Construct):
    """Read-only: `processing`, `training` and `pipeline`."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack, images: Images, network: Network) -> None:
        super().__init__(scope, "Roles")
        self.settings, self.data, self.images, self.network = settings, data, images, network
        self.processing = self._job_role("Processing", "ProcessingJobs")
        _allow(self.processing, "ReadPhotos", ["s3:GetObject"], [data.raw.arn_for_objects("*")])
        _allow(self.processing, "ListPhotos", ["s3:ListBucket"], [data.raw.bucket_arn])
        self.training = self._job_role("Training", "TrainingJobs")
        if uri := settings.training.weights_uri:
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            arn = f"arn:{Aws.PARTITION}:s3:::{bucket}"
            _allow(self.training, "ReadWeights", ["s3:GetObject"], [f"{arn}/{prefix}*"])
            _allow(self.training, "ListWeights", ["s3:ListBucket"], [arn])
        self.pipeline = self._role("Pipeline", "Starts the jobs of the pipeline and passes them their roles")

    def allow_pipeline(self, champion: lambda_.IFunction, releases: sqs.IQueue) -> None:
        """What the pipeline does itself: start and watch jobs, read the verdict, register, ask for the champion and
        for a release."""
        role, group = self.pipeline, self.settings.names.model_package_group
        jobs = {"ProcessingJob": "processing-job", "TrainingJob": "training-job"}
        jobs |= {"HyperParameterTuningJob": "hyper-parameter-tuning-job"}
        for name, resource in jobs.items():
            actions = [f"sagemaker:{verb}{name}" for verb in ("Create", "Describe", "Stop")]
            _allow(role, name, [*actions, "sagemaker:AddTags"], [_sagemaker(f"{resource}/*")])
        tuning = _sagemaker(f"{jobs['HyperParameterTuningJob']}/*")
        _allow(role, "ReadTrials", ["sagemaker:ListTrainingJobsForHyperParameterTuningJob"], [tuning])
        _allow(
            role,
            "Register",
            ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage", "sagemaker:AddTags"],
            [_sagemaker(f"model-package-group/{group}"), _sagemaker(f"model-package/{group}/*")],
        )
        roles = [self.processing.role_arn, self.training.role_arn]
        role.add_to_policy(
            iam.PolicyStatement(
                sid="PassJobRoles",
                actions=["iam:PassRole"],
                resources=roles,
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            )
        )
        artifacts = self.data.artifacts
        _allow(role, "ReadVerdict", ["s3:GetObject"], [artifacts.arn_for_objects(f"{EXECUTIONS}/*")])
        _allow(role, "AskForChampion", ["lambda:InvokeFunction"], [champion.function_arn])
        _allow(role, "AskForRelease", ["sqs:SendMessage"], [releases.queue_arn])
        _allow(role, "Key", ["kms:Decrypt", "kms:GenerateDataKey"], [self.data.key.key_arn])
        self.images.allow_pull(role, "serve")  # registering a package checks that its image can be reached
        for resource in jobs.values():
            self._acknowledge_names(role, resource, "SageMaker names the jobs of a pipeline when it starts them.")
        self._acknowledge_names(role, f"model-package/{group}", "Versions of this environment's own group.")
        self._acknowledge_executions(role)

    def _job_role(self, id_: str, kind: str) -> iam.Role:
        role = self._role(id_, f"{id_} jobs: data in and out, image, log, metrics")
        artifacts, key = self.data.artifacts, self.data.key
        objects = [artifacts.arn_for_objects(f"{EXECUTIONS}/*")]
        _allow(role, "Artifacts", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], objects)
        _allow(role, "ListArtifacts", ["s3:ListBucket"], [artifacts.bucket_arn])
        _allow(role, "Key", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:DescribeKey"], [key.key_arn])
        role.add_to_policy(
            iam.PolicyStatement(
                sid="VolumeKey",
                actions=["kms:CreateGrant"],
                resources=[key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            )
        )
        logs = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws/sagemaker/{kind}"
        writes = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"]
        _allow(role, "Logs", [f"logs:{name}" for name in writes], [logs, f"{logs}:*"])
        role.add_to_policy(
            iam.PolicyStatement(
                sid="Metrics",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": [f"/aws/sagemaker/{kind}", "AWS/SageMaker"]}},
            )
        )
        self.images.allow_pull(role, "train")
        if self.network.used:
            self._allow_network(role)
        self._acknowledge_executions(role)
        return role

    def _role(self, id_: str, description: str) -> iam.Role:
        return iam.Role(
            self,
            id_,
            description=description,
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )

    def _allow_network(self, role: iam.Role) -> None:
        """Network interfaces in the VPC, as SageMaker asks for them."""
        account = f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}"
        interfaces = f"{account}:network-interface/*"
        places = [f"{account}:subnet/{subnet}" for subnet in self.network.subnet_ids]
        places += [f"{account}:security-group/{group}" for group in self.network.security_group_ids]
        _allow(role, "PlaceInterfaces", ["ec2:CreateNetworkInterface"], [interfaces, *places])
        changes = ["CreateNetworkInterfacePermission", "DeleteNetworkInterface", "DeleteNetworkInterfacePermission"]
        _allow(role, "Interfaces", [f"ec2:{name}" for name in changes], [interfaces])
        nouns = ["DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs"]
        _allow(role, "DescribeNetwork", [f"ec2:Describe{noun}" for noun in nouns], ["*"])

    def _acknowledge_names(self, role: iam.Role, resource: str, reason: str) -> None:
        secure.acknowledge(role, f"AwsSolutions-IAM5[Resource::{_sagemaker(f'{resource}/*')}]", reason)

    def _acknowledge_executions(self, role: iam.Role) -> None:
        pass


def _allow(role: iam.Role, sid: str, actions: Sequence[str], resources: Sequence[str]) -> None:
    role.add_to_policy(iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources)))


def _sagemaker(resource: str) -> str:
    return f"arn:{Aws.PARTITION}:sagemaker:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"
