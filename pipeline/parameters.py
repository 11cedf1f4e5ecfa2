"""Parameters of one execution: what a person may set per run, with defaults that suit AWS."""

from collections.abc import Mapping
from typing import Any

from pipeline.sdk import ParameterFloat, ParameterInteger, ParameterString

# Closed sets, so that a misspelt type fails when the run starts and not hours later in its last job.
CPU_INSTANCES = ["ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge", "ml.c5.9xlarge"]
# CUDA 13 wheels need a recent driver: T4 (g4dn) and newer, not V100 (p3). All of these have local disks, encrypted by
# their hardware, for which SageMaker refuses a key ("VolumeKmsKeyId", ResourceConfig, API reference).
GPU_INSTANCES = [
    "ml.g4dn.xlarge",
    "ml.g4dn.2xlarge",
    "ml.g4dn.12xlarge",
    "ml.g5.xlarge",
    "ml.g5.2xlarge",
    "ml.g5.12xlarge",
    "ml.g6.xlarge",
    "ml.g6.2xlarge",
    "ml.g6.12xlarge",
    "ml.g6e.xlarge",
    "ml.g6e.12xlarge",
    "ml.p4d.24xlarge",
    "ml.p5.48xlarge",
]


class Parameters:
    """Every parameter of the pipeline, in the order they are declared.

    `defaults` replaces defaults by name; ValueError names a parameter that there is not, or a value it cannot have.
    `gpu`: training runs on GPUs, else on CPUs; the two need other requests, so a run cannot choose.
    """

    def __init__(self, defaults: Mapping[str, str | int | float] | None = None, *, gpu: bool = True) -> None:
        training, usual = (GPU_INSTANCES, "ml.g5.xlarge") if gpu else (CPU_INSTANCES, "ml.c5.4xlarge")
        self.input_prefix = ParameterString("InputPrefix", "photos")
        # Names the content of the prefix, so it has no default: same value, same photos, Preprocess from the cache.
        self.input_revision = ParameterString("InputRevision")

        self.backbone = ParameterString("Backbone", "resnet18")
        self.image_size = ParameterInteger("ImageSize", 224)
        self.epochs = ParameterInteger("Epochs", 20)
        self.baseline_epochs = ParameterInteger("BaselineEpochs", 5)
        self.seed = ParameterInteger("Seed", 0)

        self.hpo_jobs = ParameterInteger("HpoJobs", 12)
        self.hpo_parallelism = ParameterInteger("HpoParallelism", 3)
        self.hpo_epochs = ParameterInteger("HpoEpochs", 8)

        self.preprocess_instance_type = ParameterString("PreprocessInstanceType", "ml.m5.2xlarge", CPU_INSTANCES)
        self.preprocess_instance_count = ParameterInteger("PreprocessInstanceCount", 1)
        self.baseline_instance_type = ParameterString("BaselineInstanceType", usual, training)
        self.tune_instance_type = ParameterString("TuneInstanceType", usual, training)
        self.tune_instance_count = ParameterInteger("TuneInstanceCount", 1)
        self.train_instance_type = ParameterString("TrainInstanceType", usual, training)
        self.train_instance_count = ParameterInteger("TrainInstanceCount", 2)
        self.evaluate_instance_type = ParameterString("EvaluateInstanceType", "ml.m5.xlarge", CPU_INSTANCES)

        self.gate_alpha = ParameterFloat("GateAlpha", 0.05)
        self.gain_that_matters = ParameterFloat("GainThatMatters", 0.02)
        self.max_macro_f1_drop = ParameterFloat("MaxMacroF1Drop", 0.0)
        self.max_recall_drop = ParameterFloat("MaxRecallDrop", 0.10)
        self.max_rmse_increase = ParameterFloat("MaxRmseIncrease", 0.05)
        self.latency_budget_ms = ParameterFloat("LatencyBudgetMs", 500.0)
        self.approval_mode = ParameterString("ApprovalMode", "automatic", ["automatic", "manual"])
        for name, value in (defaults or {}).items():
            self._set_default(name, value)

    def all(self) -> list[Any]:
        """The parameters in the order they are declared."""
        return list(vars(self).values())

    def _set_default(self, name: str, value: str | int | float) -> None:
        known = {parameter.name: parameter for parameter in self.all() if parameter is not self.input_revision}
        if name not in known:
            raise ValueError(
                f"pipeline setting 'parameters' sets '{name}', which has no default; there are: {', '.join(known)}"
            )
        parameter = known[name]
        kind, allowed = _KINDS[type(parameter)]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError(f"pipeline setting 'parameters' sets '{name}' to {value!r}; it must be {allowed}")
        if (choices := getattr(parameter, "enum_values", None)) and value not in choices:
            listed = ", ".join(choices)
            raise ValueError(f"pipeline setting 'parameters' sets '{name}' to {value!r}; it must be one of: {listed}")
        parameter.default_value = float(value) if isinstance(parameter, ParameterFloat) else value


_KINDS: dict[type, tuple[type | tuple[type, ...], str]] = {
    ParameterString: (str, "a text"),
    ParameterInteger: (int, "a whole number"),
    ParameterFloat: ((int, float), "a number"),
}
