"""Requests for small jobs."""

import sys
from typing import Any


def processing(
    program: str, *, inputs: dict[str, str] | None = None, outputs: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """A processing job that runs `program` with `python -c`."""
    return {
        "ProcessingJobName": "p-1",
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": more.pop("instances", 1),
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 1,
            }
        },
        "AppSpecification": {
            "ImageUri": "train:1",
            "ContainerEntrypoint": [sys.executable, "-c", program],
            "ContainerArguments": ["--size", "64"],
        },
        "RoleArn": "arn:aws:iam::123456789012:role/jobs",
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/input/{name}",
                    "S3DataType": "S3Prefix",
                    "S3DataDistributionType": more.get("distribution", "FullyReplicated"),
                },
            }
            for name, uri in (inputs or {}).items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {
                        "S3Uri": f"s3://artifacts/{name}",
                        "LocalPath": f"/opt/ml/processing/output/{name}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for name in outputs
            ]
        },
        "Environment": {"COLOUR": "yellow"},
        "StoppingCondition": {"MaxRuntimeInSeconds": more.get("seconds", 60)},
    }


def training(
    *, instances: int = 1, channels: dict[str, str] | None = None, seconds: int = 60, **more: Any
) -> dict[str, Any]:
    """A training job of image `train:1`."""
    return {
        "TrainingJobName": "t-1",
        "AlgorithmSpecification": {
            "TrainingImage": "train:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": r"\bloss=([-+0-9.eE]+)"}],
        },
        "HyperParameters": {"epochs": "3"},
        "RoleArn": "arn:aws:iam::123456789012:role/jobs",
        "InputDataConfig": [
            {
                "ChannelName": name,
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            }
            for name, uri in (channels or {}).items()
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://artifacts/models"},
        "ResourceConfig": {"InstanceCount": instances, "InstanceType": "ml.g5.xlarge", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        **more,
    }


def tuning(
    *, jobs: int, parallel: int, early: str = "Off", strategy: str = "Bayesian", seed: int = 0
) -> dict[str, Any]:
    """A search for `x` (0 to 1) and `kind` that maximizes `score`."""
    definition = training()
    for key in ("TrainingJobName", "HyperParameters"):
        del definition[key]
    definition["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "score", "Regex": r"\bscore=([-+0-9.eE]+)"}]
    return {
        "HyperParameterTuningJobName": "h-1",
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel},
            "TrainingJobEarlyStoppingType": early,
            "ParameterRanges": {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"}
                ],
                "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "5"}],
                "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
            },
            "RandomSeed": seed,
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": {"epochs": "3"}},
    }
