"""What a deployment decides about the pipeline; what a person decides per run are `pipeline.parameters`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.search import SearchSpace, usual_space

STRATEGIES = ("Bayesian", "Hyperband")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hours after which SageMaker stops a job, and the size of its volumes."""

    preprocess_hours: int = 6
    train_hours: int = 24
    trial_hours: int = 8  # one training job of the tuning job
    tune_hours: int = 72  # the tuning job as a whole
    evaluate_hours: int = 2
    spot_wait_hours: int = 12  # on top of the run time: how long a job may wait for spot capacity
    volume_gb: int = 100

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 1:
                raise ValueError(f"limit '{item.name}' is {getattr(self, item.name)}; it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Names and ARNs of a deployment. Every text may be a CDK token; nothing here reaches AWS by itself."""

    name: str
    region: str
    raw_bucket: str
    artifacts_bucket: str
    kms_key: str  # ARN or id
    processing_role: str
    training_role: str
    train_image: str
    serve_image: str
    champion_function_arn: str
    deploy_queue_url: str
    model_package_group: str
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    gpu: bool = True  # train on GPUs; False: on CPUs
    spot: bool = True
    pretrained: bool = True  # False: train from random weights
    weights_uri: str | None = None  # S3 prefix of pretrained weights; None: those baked into the image
    preprocess_instance_price: float | None = None  # of one hour of one instance: Preprocess projects its cost
    tuning_strategy: str = "Bayesian"
    search_space: SearchSpace | None = None  # None: the usual one, see `pipeline.search`
    hyperparameters: Mapping[str, str] = field(default_factory=dict)  # fixed for every training job
    tags: Mapping[str, str] = field(default_factory=dict)  # of every job, by which costs are counted
    parameters: Mapping[str, str | int | float] = field(default_factory=dict)  # defaults of `pipeline.parameters`
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for item in fields(self):
            value: Any = getattr(self, item.name)
            if item.type is str and not value:
                raise ValueError(f"pipeline setting '{item.name}' is empty; it must be a text")
        if not _is_token(self.name) and not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,255}", self.name):
            raise ValueError(f"pipeline setting 'name' is '{self.name}'; it must be letters, digits and inner hyphens")
        for key in ("kms_key", "champion_function_arn"):
            region = _region_of(getattr(self, key))
            if region and not _is_token(self.region) and region != self.region:
                raise ValueError(
                    f"pipeline setting '{key}' lies in {region}, the pipeline in {self.region}; "
                    "a pipeline reaches keys and functions of its own region only"
                )
        if bool(self.subnets) != bool(self.security_group_ids):
            raise ValueError("pipeline settings 'subnets' and 'security_group_ids' go together; give both or neither")
        if self.tuning_strategy not in STRATEGIES:
            raise ValueError(
                f"pipeline setting 'tuning_strategy' is '{self.tuning_strategy}'; it must be one of {STRATEGIES}"
            )
        if self.weights_uri and not self.pretrained:
            raise ValueError("pipeline setting 'weights_uri' is set but 'pretrained' is false; drop one of the two")
        if clash := sorted(set(self.hyperparameters) & (_OWNED | set(self.space.names))):
            raise ValueError(f"pipeline setting 'hyperparameters' sets {clash}, which the pipeline itself decides")

    @property
    def space(self) -> SearchSpace:
        """What the tuning job searches."""
        return self.search_space or usual_space(self.pretrained)


# What parameters and settings of the pipeline say of every training job; what is searched comes on top.
_OWNED = {"backbone", "image_size", "epochs", "weights", "seed", "freeze", "low_precision", "accuracy_margin"}


def _region_of(arn: str) -> str | None:
    """The region of an ARN; None where it cannot be known yet, or at all."""
    return arn.split(":")[3] if arn.count(":") >= 5 and not _is_token(arn) else None


def _is_token(text: str) -> bool:
    return "${" in text


def example_settings(**changes: Any) -> PipelineSettings:
    """Settings of an account that does not exist, for printing, validating and testing the definition."""
    account, region = "123456789012", str(changes.get("region", "eu-central-1"))
    values: dict[str, Any] = {
        "name": "tally",
        "region": region,
        "raw_bucket": "tally-raw",
        "artifacts_bucket": "tally-artifacts",
        "kms_key": f"arn:aws:kms:{region}:{account}:key/00000000-0000-0000-0000-000000000000",
        "processing_role": f"arn:aws:iam::{account}:role/tally-processing",
        "training_role": f"arn:aws:iam::{account}:role/tally-training",
        "train_image": f"{account}.dkr.ecr.{region}.amazonaws.com/tally:train",
        "serve_image": f"{account}.dkr.ecr.{region}.amazonaws.com/tally:serve",
        "champion_function_arn": f"arn:aws:lambda:{region}:{account}:function:tally-champion",
        "deploy_queue_url": f"https://sqs.{region}.amazonaws.com/{account}/tally-deploy",
        "model_package_group": "tally",
    }
    return PipelineSettings(**(values | changes))
