"""The recipes that are compared, all as hyperparameters of the same trainer.

The default recipe is not written down here: it is read out of the pipeline's definition, as a run without any
parameters sends it. What only the tuning job decides is left to the trainer's own defaults.
"""

import math
from collections.abc import Mapping
from typing import Any

from local.definition import Definition
from local.expressions import Scope, references, resolve
from pipeline.definition import build
from pipeline.settings import example_settings

Hyperparameters = dict[str, str]

# What the public projects on this data have in common: Resize((224, 224)), mirrored photos, ImageNet's mean and
# deviation, a frozen ResNet-50 whose last layer is replaced by new ones, which alone learn: plain cross-entropy, Adam
# at a fixed rate, batches as they come. Read in the training scripts of github.com/<owner>/...:
# - ajpls/, khadijadooja/ and onpillow/Inventory-Monitoring-at-Distribution-Centers and
#   joangerard/Inventory-Monitoring-at-Distribution-Centers-w-Sagemaker: two new layers, 128 units between them;
# - suinaowawa/Inventory-Monitoring-at-Distribution-Centers: one new layer, but SGD, every count equally often.
# They end between 27 and 39% on random splits. Here one layer learns: two are about as good on the validation photos,
# 0.490 right at their best epochs, one 0.487, means of 3 seeds (a script that is not in the repository). The backbone's
# batch norm stays still and the best epoch is kept, which is more than they do. Adam is AdamW without weight decay
# (Loshchilov & Hutter 2019).
PLAIN: Mapping[str, str] = {
    "image_size": "224",
    "stretch": "100",  # every photo is squashed to the square
    "freeze": "backbone",
    "dropout": "0.2",
    "batch_size": "64",
    "optimizer": "adamw",
    "lr": "0.001",
    "layer_decay": "1",
    "weight_decay": "0",
    "schedule": "constant",
    "warmup_epochs": "0",
    "clip_norm": "0",
    "sam": "0",
    "label_smoothing": "0",
    "softening": "0",
    "emd": "0",
    "class_weighting": "none",
    "sampling": "natural",
    "mixup": "0",
    "ema": "0",
    "members": "1",
    "crop_scale": "1",
    "flip": "0.5",
    "rotation": "0",
    "color_jitter": "0",
    "flip_tta": "false",
    "patience": "0",
}
# Say how a machine is used and watched, not what is computed.
_MACHINE = ("workers", "processes", "amp", "sync_batchnorm", "profile_steps")
_MARGIN = 0.1  # of an epoch's time: the pace varies by some per cent, and validation comes on top


class PipelineDefaults:
    """What the pipeline's jobs are sent. `parameters` replaces defaults of the pipeline's parameters by name.

    ValueError for a parameter that the pipeline does not have.
    """

    def __init__(self, *, pretrained: bool, parameters: Mapping[str, str | int | float]) -> None:
        self.pretrained = pretrained
        self._definition = Definition.parse(build(example_settings(pretrained=pretrained, parameters=parameters)))

    def recipe(self, seed: int, epochs: int | None = None) -> Hyperparameters:
        """Hyperparameters of step Train; `epochs` None: as many as the pipeline's default says."""
        given = {} if epochs is None else {"Epochs": epochs}
        return self._hyperparameters("Train", {"Seed": seed, **given})

    def baseline(self, seed: int) -> Hyperparameters:
        """Hyperparameters of step TrainBaseline: a linear head on a frozen backbone, where there are weights."""
        return self._hyperparameters("TrainBaseline", {"Seed": seed})

    def evaluate(self, champion_name: str, seed: int) -> list[str]:
        """Arguments of step Evaluate: options with their values, without those that only name other steps' jobs."""
        sent = self._definition.steps["Evaluate"].arguments["AppSpecification"]["ContainerArguments"]
        found = {"FindChampion": {"OutputParameters": {"champion_name": champion_name}}}
        pairs = zip(sent[::2], sent[1::2], strict=True)
        kept = [part for pair in pairs if references(pair[1]) <= found.keys() for part in pair]
        return [str(part) for part in resolve(kept, self._scope({"Seed": seed}, found))]

    @property
    def tuned(self) -> list[str]:
        """Hyperparameters that only the tuning job decides."""
        return sorted(name for name, value in self._sent("Train").items() if references(value))

    def _hyperparameters(self, step: str, parameters: Mapping[str, Any]) -> Hyperparameters:
        scope = self._scope(parameters, {})
        sent = {name: value for name, value in self._sent(step).items() if not references(value)}
        return {name: str(value) for name, value in resolve(sent, scope).items()}

    def _sent(self, step: str) -> Mapping[str, Any]:
        sent: Mapping[str, Any] = self._definition.steps[step].arguments["HyperParameters"]
        return sent

    def _scope(self, parameters: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Any]]) -> Scope:
        def nothing(*names: str) -> Any:
            raise KeyError(names)

        values = self._definition.values({"InputRevision": "none", **parameters})
        return Scope(parameters=values, execution={}, outputs=outputs, property_file=nothing, s3_json=nothing)


def plain(
    recipe: Mapping[str, str], epochs: int, *, pretrained: bool, image_size: int | None = None
) -> Hyperparameters:
    """The plain fine-tune of the public projects, with the backbone, the weights and the seed of `recipe`.

    Without pretrained weights everything learns: the last layer of a random network would be all it has.
    """
    own = PLAIN if pretrained else {**PLAIN, "freeze": "none"}
    shared = {name: recipe[name] for name in ("backbone", "weights", "seed", *_MACHINE) if name in recipe}
    size = {} if image_size is None else {"image_size": str(image_size)}
    return {**own, **shared, **size, "epochs": str(epochs)}


def one_epoch(hyperparameters: Mapping[str, str]) -> Hyperparameters:
    """The same job for one epoch, to learn its pace."""
    return {**hyperparameters, "epochs": "1", "members": "1", "warmup_epochs": "0"}


def epochs_of_equal_time(seconds: float, epoch_seconds: float) -> int:
    """Epochs of `epoch_seconds` each that last at least `seconds`, a margin for a varying pace included."""
    return max(1, math.ceil(round(seconds * (1 + _MARGIN) / epoch_seconds, 6)))


def epochs_within(seconds: float, epoch_seconds: float, most: int) -> int:
    """Epochs of `epoch_seconds` each that end within `seconds`, the same margin included; from 0 to `most`."""
    return max(0, min(most, math.floor(round(seconds / (epoch_seconds * (1 + _MARGIN)), 6))))
