"""The API requests of the pipeline's jobs, secure by default: encrypted, isolated, bounded in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.metrics import OBJECTIVE, metric_definitions
from pipeline.sdk import ExecutionVariables, Join
from pipeline.settings import PipelineSettings
from pipeline.steps import Request

_ML = "/opt/ml"
_HOUR = 3600


@dataclass(frozen=True)
class Requests:
    """Builds the requests of one deployment."""

    settings: PipelineSettings

    def execution_uri(self, *parts: str) -> Any:
        """A prefix of the artifacts bucket that belongs to this execution alone.

        Step caching looks at a processing job's AppSpecification, Environment and ProcessingInputs only, so a
        different output prefix in each execution does not defeat it ("Default cache key attributes by pipeline step
        type", SageMaker developer guide).
        """
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        return Join(on="/", values=["s3:/", self.settings.artifacts_bucket, "executions", execution, *parts])

    def outputs_uri(self, step: str) -> Any:
        """The prefix below which the training jobs of a step leave `JOB/output/{model,output}.tar.gz`.

        Checkpoints lie beside it and not below it, so that it can be the channel of a later job.
        """
        return self.execution_uri(step, "jobs")

    def processing(
        self,
        step: str,
        command: str,
        *,
        arguments: Sequence[Any],
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        instance_type: Any,
        instance_count: Any = 1,
        hours: int,
        environment: Mapping[str, Any] | None = None,
    ) -> Request:
        """CreateProcessingJob: `python -m tally COMMAND`; inputs by name to S3 prefix, outputs by name."""
        request: Request = {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": instance_count,
                    "InstanceType": instance_type,
                    "VolumeSizeInGB": self.settings.limits.volume_gb,
                    "VolumeKmsKeyId": self.settings.kms_key,
                }
            },
            "AppSpecification": {
                "ImageUri": self.settings.train_image,
                "ContainerEntrypoint": ["python", "-m", "tally", command],
                "ContainerArguments": list(arguments),
            },
            "RoleArn": self.settings.processing_role,
            "ProcessingInputs": [_processing_input(name, uri) for name, uri in inputs.items()],
            "ProcessingOutputConfig": {
                "Outputs": [self._processing_output(step, name) for name in outputs],
                "KmsKeyId": self.settings.kms_key,
            },
            "NetworkConfig": {
                "EnableInterContainerTrafficEncryption": True,
                "EnableNetworkIsolation": True,
                **self._vpc(),
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": hours * _HOUR},
        }
        if environment:
            request["Environment"] = dict(environment)
        return request | self._tags()

    def training(
        self,
        step: str,
        *,
        hyperparameters: Mapping[str, Any],
        channels: Mapping[str, Any],
        instance_type: Any,
        instance_count: Any,
        hours: int,
    ) -> Request:
        """CreateTrainingJob: the image's own ENTRYPOINT, started with `train`."""
        return {
            "AlgorithmSpecification": self._algorithm(),
            "HyperParameters": dict(hyperparameters),
            **self._training_job(step, channels, instance_type, instance_count, hours),
            **self._tags(),
        }

    def tuning(
        self,
        step: str,
        *,
        hyperparameters: Mapping[str, Any],
        channels: Mapping[str, Any],
        instance_type: Any,
        instance_count: Any,
        jobs: Any,
        parallel: Any,
        epochs: Any,
        seed: Any,
    ) -> Request:
        """CreateHyperParameterTuningJob over `settings.space`."""
        limits = self.settings.limits
        return {
            "HyperParameterTuningJobConfig": {
                **self._strategy(epochs),
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": OBJECTIVE},
                "ResourceLimits": {
                    "MaxNumberOfTrainingJobs": jobs,
                    "MaxParallelTrainingJobs": parallel,
                    "MaxRuntimeInSeconds": limits.tune_hours * _HOUR,
                },
                "ParameterRanges": self.settings.space.request(),
                "RandomSeed": seed,
            },
            "TrainingJobDefinition": {
                "AlgorithmSpecification": self._algorithm(),
                "StaticHyperParameters": dict(hyperparameters),
                **self._training_job(step, channels, instance_type, instance_count, limits.trial_hours),
                # A tuning job does not pass SageMaker.JOB_INTERNAL_ERROR on to the step's retry policy.
                "RetryStrategy": {"MaximumRetryAttempts": 3},
            },
            **self._tags(),  # SageMaker passes them on to the trials
        }

    def model_package(self, *, model_uri: Any, evaluation_uri: Any, metadata: Mapping[str, Any], card: Any) -> Request:
        """CreateModelPackage: the judged model with its evaluation and the gate's verdict, waiting for approval.

        `card` is the model card as JSON text (docs/adr/0017-the-card-is-a-string-of-the-evaluation.md).
        """
        return {
            "ModelPackageGroupName": self.settings.model_package_group,
            "ModelPackageDescription": "Counts the objects in a photo of a warehouse bin (1 to 5).",
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": self.settings.serve_image, "ModelDataUrl": model_uri}],
                "SupportedContentTypes": ["image/jpeg", "image/png", "image/webp"],
                "SupportedResponseMIMETypes": ["application/json"],
                "SupportedRealtimeInferenceInstanceTypes": ["ml.c5.large", "ml.c5.xlarge", "ml.m5.large"],
                "SupportedTransformInstanceTypes": ["ml.c5.xlarge", "ml.m5.large"],
            },
            "ModelMetrics": {
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": evaluation_uri}}
            },
            "MetadataProperties": {"GeneratedBy": ExecutionVariables.PIPELINE_EXECUTION_ARN},
            "CustomerMetadataProperties": dict(metadata),
            "ModelCard": {"ModelCardContent": card, "ModelCardStatus": "Draft"},
        }

    def _training_job(self, step: str, channels: Mapping[str, Any], kind: Any, count: Any, hours: int) -> Request:
        limits = self.settings.limits
        request: Request = {
            "RoleArn": self.settings.training_role,
            "InputDataConfig": [_channel(name, uri) for name, uri in channels.items()],
            "OutputDataConfig": {
                "S3OutputPath": self.outputs_uri(step),
                "KmsKeyId": self.settings.kms_key,
            },
            "ResourceConfig": {
                "InstanceCount": count,
                "InstanceType": kind,
                "VolumeSizeInGB": limits.volume_gb,
                **({} if self.settings.gpu else {"VolumeKmsKeyId": self.settings.kms_key}),  # see GPU_INSTANCES
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": hours * _HOUR},
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
            "EnableManagedSpotTraining": self.settings.spot,
            **self._vpc(),
        }
        if self.settings.spot:
            request["StoppingCondition"]["MaxWaitTimeInSeconds"] = (hours + limits.spot_wait_hours) * _HOUR
            request["CheckpointConfig"] = {
                "S3Uri": self.execution_uri(step, "checkpoints"),
                "LocalPath": f"{_ML}/checkpoints",
            }
        return request

    def _tags(self) -> Request:
        tags = [{"Key": key, "Value": value} for key, value in self.settings.tags.items()]
        return {"Tags": tags} if tags else {}

    def _algorithm(self) -> Request:
        return {
            "TrainingImage": self.settings.train_image,
            "TrainingInputMode": "File",  # shards are read through a memory map, in random order
            "MetricDefinitions": metric_definitions(),
        }

    def _strategy(self, epochs: Any) -> Request:
        if self.settings.tuning_strategy == "Bayesian":
            return {"Strategy": "Bayesian", "TrainingJobEarlyStoppingType": "Auto"}
        # Hyperband stops jobs by its own rule and refuses SageMaker's.
        resources = {"MinResource": 1, "MaxResource": epochs}
        return {
            "Strategy": "Hyperband",
            "StrategyConfig": {"HyperbandStrategyConfig": resources},
            "TrainingJobEarlyStoppingType": "Off",
        }

    def _vpc(self) -> Request:
        if not self.settings.subnets:
            return {}
        return {
            "VpcConfig": {
                "SecurityGroupIds": list(self.settings.security_group_ids),
                "Subnets": list(self.settings.subnets),
            }
        }

    def _processing_output(self, step: str, name: str) -> Request:
        return {
            "OutputName": name,
            "S3Output": {
                "S3Uri": self.execution_uri(step, name),
                "LocalPath": f"{_ML}/processing/output/{name}",
                "S3UploadMode": "EndOfJob",
            },
        }


def _processing_input(name: str, uri: Any) -> Request:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{_ML}/processing/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def _channel(name: str, uri: Any) -> Request:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        },
        "InputMode": "File",
    }
