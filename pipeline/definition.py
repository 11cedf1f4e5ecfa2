"""The graph: from raw photos to a judged, registered and deployed model.

    Preprocess -> TrainBaseline, Tune -> Train -> FindChampion -> Evaluate -> Gate
    Gate: promote -> Register -> Approval: automatic -> Deploy
          anything else -> Refused

`build` and `dumps` are pure: equal settings give equal bytes, without clock, network or credentials.
"""

import json
from typing import Any

import boto3

from pipeline import sdk
from pipeline.declaration import Parameters
from pipeline.parameters import DEFAULT_BATCH_SIZE
from pipeline.requests import Requests
from pipeline.settings import PipelineSettings
from pipeline.steps import InvokeStep, JobStep, ProcessingStep, RegisterStep, TrainingStep, TuningStep

CACHE_DAYS = 30
EVALUATION_FILE = "evaluation.json"
SHARPNESS_AWARE = "0.05"
"""Radius of the steps that fine-tune, docs/experiments.md. From random weights nobody measured it, and a head alone has
no use for it."""
# Strings of `gate.summary` in evaluation.json that the model package carries on.
SUMMARY = (
    "verdict",
    "reason",
    "test",
    "p_value",
    "alpha",
    "gain",
    "gain_interval",
    "photos",
    "groups",
    "test_sha256",
    "champion",
    "challenger_model",
)


class _Session:
    """As much of a SageMaker session as building a definition takes; it cannot reach AWS."""

    sagemaker_client = None
    local_mode = False

    def __init__(self) -> None:
        self.boto_session = boto3.Session()
        self.boto_region_name = self.boto_session.region_name  # a made-up one: the definition names no endpoint
        self.sagemaker_config: dict[str, Any] = {}


class _Graph:
    """The steps of one definition, each made from those before it."""

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings
        self.parameters = Parameters(
            settings.space,
            settings.parameters,
            gpu=settings.gpu,
            batch_size=int(settings.hyperparameters.get("batch_size", DEFAULT_BATCH_SIZE)),
        )
        self.requests = Requests(settings)
        self.evaluation_file = sdk.PropertyFile(name="Evaluation", output_name="evaluation", path=EVALUATION_FILE)

    def steps(self) -> list[sdk.Step]:
        """Top-level steps in reading order."""
        preprocess = self.preprocess()
        baseline = self.train_baseline(preprocess)
        tune = self.tune(preprocess)
        train = self.train(preprocess, tune)
        champion = self.find_champion(baseline, train)
        evaluate = self.evaluate(preprocess, baseline, train, champion)
        gate = self.gate(evaluate, train)
        return [preprocess, baseline, tune, train, champion, evaluate, gate]

    def preprocess(self) -> JobStep:
        p, price = self.parameters, self.settings.preprocess_instance_price
        request = self.requests.processing(
            "Preprocess",
            "preprocess",
            arguments=[
                *("--image-size", p["ImageSize"].to_string()),
                *(() if price is None else ("--instance-price", f"{price:g}")),
            ],
            # The closing slash keeps `photos` from taking in `photos-old` as well.
            inputs={"photos": sdk.Join(on="", values=["s3://", self.settings.raw_bucket, "/", p["InputPrefix"], "/"])},
            outputs=["train", "validation", "test", "report"],
            instance_type=p["PreprocessInstanceType"],
            instance_count=p["PreprocessInstanceCount"],
            hours=self.settings.limits.preprocess_hours,
            # Environment is part of the step cache's key, and S3 content is not.
            environment={"TALLY_INPUT_REVISION": p["InputRevision"]},
        )
        return ProcessingStep("Preprocess", request, cache_days=CACHE_DAYS)

    def train_baseline(self, preprocess: JobStep) -> JobStep:
        p = self.parameters
        request = self.requests.training(
            "TrainBaseline",
            hyperparameters=self.hyperparameters(p["BaselineEpochs"])
            | {"freeze": "backbone" if self.settings.pretrained else "none", "sam": "0"},
            channels=self.channels(preprocess),
            instance_type=p["BaselineInstanceType"],
            instance_count=1,
            hours=self.settings.limits.train_hours,
        )
        return TrainingStep("TrainBaseline", request)

    def tune(self, preprocess: JobStep) -> JobStep:
        p = self.parameters
        request = self.requests.tuning(
            "Tune",
            hyperparameters=self.hyperparameters(p["HpoEpochs"]),
            channels=self.channels(preprocess),
            instance_type=p["TuneInstanceType"],
            instance_count=p["TuneInstanceCount"],
            jobs=p["HpoJobs"],
            parallel=p["HpoParallelism"],
            epochs=p["HpoEpochs"],
            seed=p["Seed"],
        )
        return TuningStep("Tune", request)

    def train(self, preprocess: JobStep, tune: JobStep) -> JobStep:
        p = self.parameters
        best = tune.properties.BestTrainingJob.TunedHyperParameters
        tuned = {name: best[name] for name in self.settings.space.names}
        request = self.requests.training(
            "Train",
            hyperparameters=self.hyperparameters(p["Epochs"]) | self.export() | tuned,
            # Never empty: a best training job means one that completed, and every job leaves its trial.json.
            channels=self.channels(preprocess) | {"trials": self.requests.outputs_uri("Tune")},
            instance_type=p["TrainInstanceType"],
            instance_count=p["TrainInstanceCount"],
            hours=self.settings.limits.train_hours,
        )
        return TrainingStep("Train", request)

    def export(self) -> dict[str, Any]:
        """What of a model is decided once its settings are found: trials and the baseline have one network in fp32."""
        p = self.parameters
        return {
            "members": p["Members"].to_string(),
            "low_precision": p["LowPrecision"],
            "accuracy_margin": p["AccuracyMargin"].to_string(),
        }

    def find_champion(self, baseline: JobStep, train: JobStep) -> InvokeStep:
        return InvokeStep(
            "FindChampion",
            self.settings.champion_function_arn,
            inputs={
                "model_package_group": self.settings.model_package_group,
                "baseline_model_url": baseline.properties.ModelArtifacts.S3ModelArtifacts,
            },
            outputs=["champion_name", "champion_model_url"],
            depends_on=[train],  # asked last: another model may go into service while this one trains
        )

    def evaluate(self, preprocess: JobStep, baseline: JobStep, train: JobStep, champion: InvokeStep) -> JobStep:
        p = self.parameters
        found = champion.properties.Outputs
        options = {
            "weighting": p["GateWeighting"],
            "alpha": p["GateAlpha"].to_string(),
            "champion-name": found["champion_name"],
            "max-macro-f1-drop": p["MaxMacroF1Drop"].to_string(),
            "max-recall-drop": p["MaxRecallDrop"].to_string(),
            "max-rmse-increase": p["MaxRmseIncrease"].to_string(),
            "latency-budget-ms": p["LatencyBudgetMs"].to_string(),
            "gain-that-matters": p["GainThatMatters"].to_string(),
            "seed": p["Seed"].to_string(),
            # For the model card. An argument has 256 characters at most: ARNs of jobs and URIs of images do too, and
            # the URI is a bucket of 63 characters with fixed names and an execution's id.
            "training-arn": train.properties.TrainingJobArn,
            "training-image": train.properties.AlgorithmSpecification.TrainingImage,
            "training-data": preprocess.output_uri("train"),
        }
        request = self.requests.processing(
            "Evaluate",
            "evaluate",
            arguments=[part for name, value in options.items() for part in (f"--{name}", value)],
            inputs={
                "test": preprocess.output_uri("test"),
                "challenger": train.properties.ModelArtifacts.S3ModelArtifacts,
                "champion": found["champion_model_url"],
                "baseline": baseline.properties.ModelArtifacts.S3ModelArtifacts,
            },
            outputs=["evaluation"],
            instance_type=p["EvaluateInstanceType"],
            hours=self.settings.limits.evaluate_hours,
        )
        return ProcessingStep("Evaluate", request, property_files=[self.evaluation_file])

    def gate(self, evaluate: JobStep, train: JobStep) -> sdk.Step:
        register = self.register(evaluate, train)
        return sdk.ConditionStep(
            name="Gate",
            conditions=[sdk.ConditionEquals(left=self.judged(evaluate, "gate.verdict"), right="promote")],
            if_steps=[register, self.approval(register)],
            else_steps=[self.refused(evaluate)],
        )

    def register(self, evaluate: JobStep, train: JobStep) -> JobStep:
        request = self.requests.model_package(
            model_uri=train.properties.ModelArtifacts.S3ModelArtifacts,
            evaluation_uri=sdk.Join(on="/", values=[evaluate.output_uri("evaluation"), EVALUATION_FILE]),
            metadata={name: self.judged(evaluate, f"gate.summary.{name}") for name in SUMMARY},
            card=self.judged(evaluate, "model_card"),
        )
        return RegisterStep("Register", request)

    def approval(self, register: JobStep) -> sdk.Step:
        return sdk.ConditionStep(
            name="Approval",
            conditions=[sdk.ConditionEquals(left=self.parameters["ApprovalMode"], right="automatic")],
            if_steps=[self.deploy(register)],
            else_steps=[],
            depends_on=[register],  # the package waits for a person or for Deploy, never the other way round
        )

    def deploy(self, register: JobStep) -> sdk.Step:
        return sdk.CallbackStep(
            name="Deploy",
            sqs_queue_url=self.settings.deploy_queue_url,
            inputs={
                "model_package_arn": register.properties.ModelPackageArn,
                "model_package_group": self.settings.model_package_group,
            },
            outputs=[sdk.CallbackOutput(name) for name in ("endpoint_name", "model_package_arn")],
        )

    def refused(self, evaluate: JobStep) -> sdk.Step:
        verdict, reason = self.judged(evaluate, "gate.verdict"), self.judged(evaluate, "gate.reason")
        return sdk.FailStep(
            name="Refused",
            error_message=sdk.Join(on="", values=["The gate says ", verdict, ": ", reason]),
        )

    def judged(self, evaluate: JobStep, path: str) -> sdk.JsonGet:
        """A value of evaluation.json."""
        return sdk.JsonGet(step_name=evaluate.name, property_file=self.evaluation_file, json_path=path)

    def hyperparameters(self, epochs: Any) -> dict[str, Any]:
        p = self.parameters
        usual = {"sam": SHARPNESS_AWARE if self.settings.pretrained else "0"}
        return {
            **{name: value for name, value in usual.items() if name not in self.settings.space.names},
            **self.settings.hyperparameters,
            "backbone": p["Backbone"],
            "image_size": p["ImageSize"].to_string(),
            "epochs": epochs.to_string(),
            "seed": p["Seed"].to_string(),
            "weights": "pretrained" if self.settings.pretrained else "none",
        }

    def channels(self, preprocess: JobStep) -> dict[str, Any]:
        channels = {name: preprocess.output_uri(name) for name in ("train", "validation")}
        return channels | ({"weights": self.settings.weights_uri} if self.settings.weights_uri else {})


def build(settings: PipelineSettings) -> dict[str, Any]:
    """Return the definition as data, ready for CreatePipeline's PipelineDefinition once dumped."""
    graph = _Graph(settings)
    with sdk.undisturbed():
        pipeline = sdk.Pipeline(
            name=settings.name,
            parameters=graph.parameters.all(),
            steps=graph.steps(),
            sagemaker_session=_Session(),
            pipeline_experiment_config=None,
        )
        definition: dict[str, Any] = json.loads(pipeline.definition())
    return {key: value for key, value in definition.items() if value is not None}


def dumps(settings: PipelineSettings, indent: int | None = None) -> str:
    """Return the definition as JSON text: compact for CloudFormation, or indented for people."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(build(settings), indent=indent, separators=separators, ensure_ascii=False)
