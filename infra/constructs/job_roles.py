"""Roles of the jobs and of the pipeline that starts them: each may do what its own calls need.

Sources: "How to use SageMaker execution roles" and "IAM Access Management" of pipelines, SageMaker developer guide.
"""

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.arns import arn, bucket_arn
from infra.constructs.permissions import allow, allow_interfaces
from infra.data import EXECUTIONS, DataStack
from infra.images import Images
from infra.network import Network
from infra.settings import Settings

_JOBS = {
    "ProcessingJob": "processing-job",
    "TrainingJob": "training-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
}


class JobRoles(Construct):
    """Read-only: `processing`, `training` and `pipeline`."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStack, images: Images, network: Network) -> None:
        super().__init__(scope, "Roles")
        self._settings, self._data, self._images, self._network = settings, data, images, network
        self.processing = self._job_role("Processing", "ProcessingJobs")
        self._allow_read(self.processing, "Photos", bucket_arn(settings, "raw"), "", "A run may train on any prefix.")
        self.training = self._job_role("Training", "TrainingJobs")
        if uri := settings.training.weights_uri:
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            weights = f"arn:{Aws.PARTITION}:s3:::{bucket}"
            self._allow_read(self.training, "Weights", weights, prefix, "The files under training.weights_uri.")
        self.pipeline = self._role("Pipeline", "Starts the jobs of the pipeline and passes them their roles")
        self._allow_jobs()
        self._allow_other_steps()

    def _allow_jobs(self) -> None:
        role, named = self.pipeline, "SageMaker names the jobs of a pipeline when it starts them."
        for job, resource in _JOBS.items():
            actions = [f"sagemaker:{verb}{job}" for verb in ("Create", "Describe", "Stop")]
            allow(role, job, [*actions, "sagemaker:AddTags"], [arn("sagemaker", f"{resource}/*")], why_wildcard=named)
        trials = ["sagemaker:ListTrainingJobsForHyperParameterTuningJob"]
        tuning = arn("sagemaker", f"{_JOBS['HyperParameterTuningJob']}/*")
        allow(role, "Trials", trials, [tuning], why_wildcard=named)
        allow(
            role,
            "PassJobRoles",
            ["iam:PassRole"],
            [self.processing.role_arn, self.training.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )

    def _allow_other_steps(self) -> None:
        """Read the verdict, register the model, ask for the champion, ask for a release."""
        role, names = self.pipeline, self._settings.names
        group = [arn("sagemaker", f"model-package-group/{names.model_package_group}")]
        versions = [arn("sagemaker", f"model-package/{names.model_package_group}/*")]
        register = ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage", "sagemaker:AddTags"]
        allow(role, "Register", register, group + versions, why_wildcard="Versions of this environment's own group.")
        # Registering checks that image and model can be read.
        executions = f"{bucket_arn(self._settings, 'artifacts')}/{EXECUTIONS}/*"
        allow(role, "Verdict", ["s3:GetObject"], [executions], why_wildcard="Each run has a folder of its own.")
        allow(role, "Champion", ["lambda:InvokeFunction"], [arn("lambda", f"function:{names.function('champion')}")])
        allow(role, "Release", ["sqs:SendMessage"], [arn("sqs", names.queue("release"))])
        allow(role, "Key", ["kms:Decrypt", "kms:GenerateDataKey"], [self._data.key.key_arn])
        self._images.allow_pull(role, "serve")

    def _job_role(self, id_: str, kind: str) -> iam.Role:
        role, key = self._role(id_, f"{id_} jobs: data in and out, image, log, metrics"), self._data.key.key_arn
        artifacts = bucket_arn(self._settings, "artifacts")
        allow(
            role,
            "Artifacts",
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
            [f"{artifacts}/{EXECUTIONS}/*"],
            why_wildcard="Each run has a folder of its own, and reads from others what the step cache hands on.",
        )
        allow(role, "ListArtifacts", ["s3:ListBucket"], [artifacts])
        allow(role, "Key", ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"], [key])
        for_volumes = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        allow(role, "VolumeKey", ["kms:CreateGrant"], [key], conditions=for_volumes)
        group = arn("logs", f"log-group:/aws/sagemaker/{kind}")
        writes = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"]
        streams = "The group is SageMaker's, one for all jobs of the account; each job has a stream of its own."
        allow(role, "Log", [f"logs:{verb}" for verb in writes], [group, f"{group}:*"], why_wildcard=streams)
        allow(
            role,
            "Metrics",
            ["cloudwatch:PutMetricData"],
            ["*"],
            why_wildcard="Metrics have no ARN; the condition names their namespaces.",
            conditions={"StringEquals": {"cloudwatch:namespace": ["AWS/SageMaker", f"/aws/sagemaker/{kind}"]}},
        )
        self._images.allow_pull(role, "train")
        allow_interfaces(role, self._network)
        return role

    def _role(self, id_: str, description: str) -> iam.Role:
        account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        trusted = iam.ServicePrincipal("sagemaker.amazonaws.com", conditions=account)
        return iam.Role(self, id_, description=description, assumed_by=trusted)

    def _allow_read(self, role: iam.Role, sid: str, bucket: str, prefix: str, why: str) -> None:
        allow(role, sid, ["s3:GetObject"], [f"{bucket}/{prefix}*"], why_wildcard=why)
        allow(role, f"List{sid}", ["s3:ListBucket"], [bucket])
