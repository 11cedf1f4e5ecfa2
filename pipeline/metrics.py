"""What SageMaker reads from a training job's log, and which of it tuning maximises.

A training job prints one line an epoch, `epoch=3 train_loss=1.2345 ... best_validation_accuracy=0.4511`; the word
boundary keeps `accuracy` from matching inside `best_validation_accuracy`.
"""

OBJECTIVE = "best_validation_accuracy"

METRICS = (
    *(f"{split}_{name}" for split in ("train", "validation") for name in ("loss", "accuracy", "macro_f1", "rmse")),
    "photos_per_second",
    "lr",
    "seconds",
    OBJECTIVE,
)


def metric_definitions() -> list[dict[str, str]]:
    """MetricDefinitions of every training job."""
    return [{"Name": name, "Regex": rf"\b{name}=([-+0-9.eE]+)"} for name in METRICS]
