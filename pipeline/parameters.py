"""Parameters of one execution: what a person may set per run, with defaults that suit AWS, and what is allowed.

The one table of them. Plain data and no SDK, so that every command that takes parameters can check them before anything
starts: a GateAlpha of 2 would otherwise be found by the last job of a run, after hours of training.
`pipeline.declaration` declares them to SageMaker.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.search import SearchSpace

Value = str | int | float

# Closed sets, so that a misspelt type fails when the run starts and not hours later in its last job.
CPU_INSTANCES = ["ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge", "ml.c5.9xlarge"]
# CUDA 13 wheels need a recent driver: T4 (g4dn) and newer, not V100 (p3). All of these have local disks, encrypted by
# their hardware, for which SageMaker refuses a key ("VolumeKmsKeyId", ResourceConfig, API reference).
GPUS = {
    "ml.g4dn.xlarge": 1,
    "ml.g4dn.2xlarge": 1,
    "ml.g4dn.12xlarge": 4,
    "ml.g5.xlarge": 1,
    "ml.g5.2xlarge": 1,
    "ml.g5.12xlarge": 4,
    "ml.g6.xlarge": 1,
    "ml.g6.2xlarge": 1,
    "ml.g6.12xlarge": 4,
    "ml.g6e.xlarge": 1,
    "ml.g6e.12xlarge": 4,
    "ml.p4d.24xlarge": 8,
    "ml.p5.48xlarge": 8,
}
GPU_INSTANCES = list(GPUS)
DEFAULT_BATCH_SIZE = 32
"""Photos a step over all ranks where neither the search nor a fixed hyperparameter says, as
`tally.settings.TrainingSettings` has it; a test compares."""
# Classifiers of torchvision; a test compares. Of any other name TrainBaseline would fail after Preprocess is done.
BACKBONES = (
    *("alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny"),
    *("densenet121", "densenet161", "densenet169", "densenet201"),
    *(f"efficientnet_b{size}" for size in range(8)),
    *("efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"),
    *("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    *(f"regnet_{kind}_{size}" for kind in "xy" for size in ("16gf", "1_6gf", "32gf", "3_2gf", "400mf", "800mf", "8gf")),
    *("regnet_y_128gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50"),
    *("resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d"),
    *("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
    *("squeezenet1_0", "squeezenet1_1"),
    *("swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t"),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
    *("vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2", "wide_resnet50_2"),
)

OF_ONE_SIZE = tuple(name for name in BACKBONES if name.startswith(("vit_", "maxvit_")))
"""Backbones that take photos of `THEIR_SIZE` pixels and of no other size; a test asks them."""
THEIR_SIZE = 224


@dataclass(frozen=True)
class Parameter:
    """A parameter and what it may be. Its default's type is its type; None: a text without a default.

    `choices`: SageMaker is told of them too. `known`: a longer list of texts than SageMaker takes. Numbers lie between
    `low` and `high`; `inside`: neither of the two is allowed.
    """

    name: str
    default: Value | None
    choices: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    inside: bool = False

    @property
    def kind(self) -> type[str] | type[int] | type[float]:
        """str, int or float."""
        return str if self.default is None else type(self.default)

    @property
    def allowed(self) -> str:
        """What it must be, in words."""
        if self.choices:
            return f"one of: {', '.join(self.choices)}"
        if self.known:
            return f"one of the {len(self.known)} that pipeline/parameters.py lists, such as {self.default}"
        if self.kind is str:
            return "a text"
        noun = "a whole number" if self.kind is int else "a number"
        if self.low == -math.inf:
            return noun
        if self.high == math.inf:
            return f"{noun} above {self.low:g}"
        return (
            f"{noun} {'above' if self.inside else 'from'} {self.low:.10g} {'and below' if self.inside else 'to'} "
            + (f"{self.high:.10g}")
        )

    def parse(self, text: str) -> Value:
        """The value that a person typed; ValueError with the name, the value and what is allowed."""
        try:
            return self.check(self.kind(text))
        except ValueError:
            raise self._wrong(text) from None

    def check(self, value: object) -> Value:
        """`value` as the parameter's type; ValueError with the name, the value and what is allowed."""
        fits = isinstance(value, (int, float) if self.kind is float else self.kind) and not isinstance(value, bool)
        if not fits or not self._holds(value):
            raise self._wrong(value)
        return self.kind(value)  # type: ignore[arg-type, call-overload]  # an int where a float is wanted becomes one

    def _holds(self, value: object) -> bool:
        if isinstance(value, str):
            return value in (self.choices or self.known or (value,))
        assert isinstance(value, int | float)  # noqa: S101 - what `check` lets through
        if self.inside:
            return self.low < value < self.high
        return self.low <= value <= self.high and math.isfinite(value)

    def _wrong(self, value: object) -> ValueError:
        near = difflib.get_close_matches(str(value), self.known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return ValueError(f"{self.name} is {value!r}; it must be {self.allowed}{hint}")


def table(*, gpu: bool = True) -> dict[str, Parameter]:
    """Every parameter by name, in the order they are declared.

    `gpu`: training runs on GPUs, else on CPUs; the two need other requests, so a run cannot choose.
    """
    training, usual = (tuple(GPU_INSTANCES), "ml.g5.xlarge") if gpu else (tuple(CPU_INSTANCES), "ml.c5.4xlarge")
    cpu = tuple(CPU_INSTANCES)
    found = (
        Parameter("InputPrefix", "photos"),
        # Names the content of the prefix, so it has no default: same value, same photos, Preprocess from the cache.
        Parameter("InputRevision", None),
        Parameter("Backbone", "resnet18", known=BACKBONES),
        Parameter("ImageSize", 160, low=32, high=1024),
        Parameter("Epochs", 10, low=1, high=10_000),
        Parameter("Members", 2, low=1, high=16),  # networks that Train trains, which answer together
        Parameter("LowPrecision", "auto", choices=("off", "auto", "int8")),  # whether Train tries an int8 copy
        Parameter("AccuracyMargin", 0.005, low=1e-4, high=0.1),  # what that copy must be shown not to lose
        Parameter("BaselineEpochs", 5, low=1, high=10_000),
        Parameter("Seed", 0, low=0, high=2**31 - 1),
        Parameter("HpoJobs", 12, low=1, high=750),  # SageMaker's quota of training jobs of a tuning job
        Parameter("HpoParallelism", 3, low=1, high=100),
        Parameter("HpoEpochs", 5, low=1, high=10_000),
        Parameter("PreprocessInstanceType", "ml.m5.2xlarge", choices=cpu),
        Parameter("PreprocessInstanceCount", 1, low=1, high=100),
        Parameter("BaselineInstanceType", usual, choices=training),
        Parameter("TuneInstanceType", usual, choices=training),
        Parameter("TuneInstanceCount", 1, low=1, high=100),
        Parameter("TrainInstanceType", usual, choices=training),
        Parameter("TrainInstanceCount", 2, low=1, high=100),
        Parameter("EvaluateInstanceType", "ml.m5.xlarge", choices=cpu),
        # As `tally.gate.GateSettings` takes them; a test compares.
        Parameter("GateWeighting", "photos", choices=("photos", "counts")),  # what weighs the same in the gain
        Parameter("GateAlpha", 0.05, low=0, high=1, inside=True),
        Parameter("GainThatMatters", 0.02, low=0, high=1, inside=True),
        Parameter("MaxMacroF1Drop", 0.0, low=0, high=1),
        Parameter("MaxRecallDrop", 0.10, low=0, high=1),
        Parameter("MaxRmseIncrease", 0.05, low=0, high=4),
        Parameter("LatencyBudgetMs", 500.0, low=0, inside=True),
        Parameter("ApprovalMode", "automatic", choices=("automatic", "manual")),
    )
    return {parameter.name: parameter for parameter in found}


def check(name: str, value: object, *, gpu: bool = True) -> Value:
    """`value` as the type of parameter `name`; a text is read as a person types it, anything else must fit.

    ValueError names a parameter that there is not, or a value it cannot have with what is allowed.
    """
    parameters = table(gpu=gpu)
    if name not in parameters:
        near = difflib.get_close_matches(name, parameters, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(parameters)}"
        raise ValueError(f"there is no pipeline parameter {name}; {hint}")
    parameter = parameters[name]
    return parameter.parse(value) if isinstance(value, str) else parameter.check(value)


def check_together(
    values: Mapping[str, Value], space: SearchSpace, *, gpu: bool = True, batch_size: int = DEFAULT_BATCH_SIZE
) -> None:
    """ValueError names parameters that do not go with each other; `values` replace defaults by name.

    Ranks share every batch, so that their number must divide each batch size that `space` may choose, or `batch_size`
    where it chooses none. Some backbones take photos of one size only, which their first job would find after
    Preprocess.
    """
    full = {name: item.default for name, item in table(gpu=gpu).items()} | dict(values)
    if full["Backbone"] in OF_ONE_SIZE and full["ImageSize"] != THEIR_SIZE:
        raise ValueError(f"ImageSize is {full['ImageSize']}; with Backbone {full['Backbone']} it must be {THEIR_SIZE}")
    jobs, parallel = int(full["HpoJobs"] or 0), int(full["HpoParallelism"] or 0)
    if parallel > jobs:
        raise ValueError(f"HpoParallelism is {parallel}; it must be at most HpoJobs, which is {jobs}")
    sizes = space.batch_sizes or (batch_size,)
    chosen = "which the search may choose" if space.batch_sizes else "which the search leaves as it is"
    for step in ("Tune", "Train"):
        count, kind = int(full[f"{step}InstanceCount"] or 0), str(full[f"{step}InstanceType"])
        ranks = count * GPUS.get(kind, 1)
        if odd := [size for size in sizes if size % ranks]:
            each = f" with {GPUS[kind]} GPUs each" if GPUS.get(kind, 1) > 1 else ""
            raise ValueError(
                f"{step}InstanceCount is {count}{each}: {ranks} ranks cannot share a batch of {odd[0]} photos, "
                f"{chosen}; their number must divide {', '.join(map(str, sizes))}"
            )
