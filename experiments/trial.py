"""Train one recipe on a part of the development photos and judge it on the rest.

    PYTHONPATH=model_code python -m experiments.trial --shards DIR --weights FILE --name wide softening=1 image_size=256

DIR is what Preprocess wrote. `key=value` are hyperparameters of a training job; the last group of options
are candidates that the platform does not have. A row is added to --results, and printed. What --keep keeps of several
trials is put together by `python -m experiments.ensemble`.
"""

import argparse
import json
import math
import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.random import fork_rng

from experiments.candidates import CandidateLoss, corn, cutmix, randaugment, unfreeze
from experiments.measures import Floats, measures, of_counts
from experiments.photos import Photos, divide
from tally.averaging import averaged
from tally.container import MALLOC
from tally.errors import TallyError
from tally.labels import COUNTS
from tally.loader import Augmentation, BalancedOrder
from tally.losses import OrdinalLoss
from tally.mixing import mixes, mixup
from tally.network import PhotoNetwork, build_network, freeze, load_pretrained
from tally.optimiser import learning_rate, make_optimiser
from tally.ranks import Ranks, seed_all
from tally.settings import TrainingSettings
from tally.sharpness import Ascent

ALONE = Ranks(0, 1, torch.device("cpu"))
_JUDGED_AT_ONCE = 64


def main() -> None:
    """Train, judge, and add a row to the results; TallyError when an input is missing or a value is wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.trial", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("settings", nargs="*", metavar="key=value", help="hyperparameters of a training job")
    parser.add_argument("--name", required=True, help="of the row")
    parser.add_argument("--shards", type=Path, required=True, help="folder with train/ and validation/ of Preprocess")
    parser.add_argument("--weights", type=Path, required=True, help="pretrained weights of the backbone")
    parser.add_argument("--results", type=Path, default=Path("build/experiments.jsonl"), help="default: %(default)s")
    parser.add_argument("--share", type=float, default=0.6, help="of the groups, to train on (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for NAME.safetensors, the weights that were judged")
    tried = parser.add_argument_group("candidates that the platform does not have")
    tried.add_argument("--cutmix", type=float, default=0.0, help="alpha; 0: off")
    tried.add_argument("--randaugment", type=int, default=0, help="magnitude of two random changes a photo; 0: off")
    tried.add_argument("--start-size", type=int, help="progressive resizing: image size of the first epoch")
    tried.add_argument("--head-epochs", type=int, default=0, help="gradual unfreezing: epochs of the head alone")
    tried.add_argument("--balanced-softmax", action="store_true", help="for sampling=natural")
    tried.add_argument("--bootstrap", type=float, default=0.0, help="share of the target that the network says itself")
    tried.add_argument("--corn", action="store_true", help="a chain of decisions instead of a softmax")
    given = parser.parse_intermixed_args()
    _check_options(parser, given)
    try:
        settings = TrainingSettings.from_hyperparameters(hyperparameters(given.settings))
        _check(settings)
        if given.balanced_softmax and settings.sampling != "natural":
            raise TallyError(f"sampling is {settings.sampling}; --balanced-softmax needs sampling=natural")
        train, judged = divide(given.shards, given.share)
        if len(train) < settings.batch_size:
            raise TallyError(
                f"{given.shards} leaves {len(train)} photos to train on, fewer than batch_size={settings.batch_size}"
            )
        for side, photos in (("train", train), ("judge", judged)):
            if missing := set(range(len(COUNTS))) - set(photos.labels.tolist()):
                raise TallyError(
                    f"{given.shards} leaves no photo of count {COUNTS[min(missing)]} to {side} on; add some"
                )
        started = time.monotonic()
        network, last = _train(settings, train, given)
        seconds = round(time.monotonic() - started)
        logits, mirrored = answers(network, judged, settings)
        row = {
            "name": given.name,
            "command": shlex.join(sys.argv[1:]),
            "seed": settings.seed,
            "train_photos": len(train),
            "judged_photos": len(judged),
            "seconds": seconds,
            "alone": measures(of_counts(logits, settings), judged.labels),
            "softened": measures(logits, judged.labels),
            "mirrored": measures(of_counts((logits + mirrored) / 2, settings), judged.labels),
        }
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            weights = {name: value.contiguous() for name, value in network.state_dict().items()}
            save_file(weights, given.keep / f"{given.name}.safetensors")
        if settings.ema:
            network.load_state_dict(last)
            last_logits, _ = answers(network, judged, settings)
            row["last_weights"] = measures(of_counts(last_logits, settings), judged.labels)
    except TallyError as error:
        sys.exit(f"error: {error}")
    given.results.parent.mkdir(parents=True, exist_ok=True)
    with given.results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=1))


def _check_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    for name, low, high in (
        ("cutmix", 0, math.inf),
        ("randaugment", 0, 31),
        ("start_size", 32, math.inf),
        ("head_epochs", 0, math.inf),
        ("bootstrap", 0, 1),
    ):
        value = getattr(given, name)
        if value is not None and not low <= value < high:
            parser.error(f"--{name.replace('_', '-')} is {value}; it must be at least {low} and below {high}")
    if not 0 < given.share < 1:
        parser.error(f"--share is {given.share}; it must be above 0 and below 1")
    if given.corn and given.keep:
        parser.error("--keep keeps networks that end with a softmax; leave it out with --corn")


def _check(settings: TrainingSettings) -> None:
    """A row must not say what was not done."""
    for name in ("class_weighting", "members", "patience", "flip_tta", "processes", "weights"):
        value, usual = getattr(settings, name), getattr(TrainingSettings(), name)
        if value != usual:
            raise TallyError(f"'{name}' is {value}; a trial ignores it, so leave it at {usual}")


def hyperparameters(texts: list[str]) -> dict[str, str]:
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise TallyError(f"'{wrong[0]}' is no hyperparameter; say key=value, as in softening=1")
    return dict(text.split("=", 1) for text in texts)


def _train(
    settings: TrainingSettings, train: Photos, given: argparse.Namespace
) -> tuple[PhotoNetwork, dict[str, Tensor]]:
    """The trainer's steps without its surroundings: one process, no checkpoints.

    Returns the network with its averaged weights, where there are any, and the last weights.
    """
    seed_all(settings.seed)
    network = build_network(settings.backbone, settings.dropout)
    load_pretrained(network, given.weights)
    freeze(network, settings.freeze, pretrained=True)
    network.to(memory_format=torch.channels_last)
    if given.corn:
        network.register_forward_hook(lambda _network, _photos, logits: corn(logits))
    optimiser = make_optimiser(network, settings)
    photos_of = torch.from_numpy(np.bincount(train.labels, minlength=len(COUNTS))).float()
    loss = CandidateLoss(
        OrdinalLoss(settings, torch.ones(len(COUNTS))), photos_of if given.balanced_softmax else None, given.bootstrap
    )
    average = averaged(network, settings.ema) if settings.ema else None
    ascent = Ascent(network, settings.sam, network.still()) if settings.sam else None
    natural = settings.sampling == "natural"
    order = None if natural else BalancedOrder(train.labels.tolist(), ALONE, settings.seed)
    labels = torch.from_numpy(train.labels)
    steps = len(train) // settings.batch_size
    started = time.monotonic()
    for epoch in range(settings.epochs):
        chance = np.random.default_rng((settings.seed, epoch))
        if order:
            order.set_epoch(epoch)
        indices = [index for index, _ in order] if order else chance.permutation(len(train)).tolist()
        size = _size(settings, given.start_size, epoch)
        if given.head_epochs:
            unfreeze(network, settings, epoch, given.head_epochs)
        network.train()
        total = 0.0
        for step in range(steps):
            mine = indices[step * settings.batch_size : (step + 1) * settings.batch_size]
            photos = train.augmented(mine, size, Augmentation.of(settings), f"{settings.seed}/{epoch}/{step}")
            shares = one_hot(labels[mine], 5).float()
            seed_all(settings.seed, epoch, step)
            if given.randaugment:
                photos = randaugment(photos, given.randaugment)
            if mixes(step, settings.mixup):
                photos, shares = mixup(photos, shares, settings.mixup)
            if mixes(step, given.cutmix):
                photos, shares = cutmix(photos, shares, given.cutmix, chance)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings, epoch + step / steps) * group["scale"]
            optimiser.zero_grad(set_to_none=True)
            if ascent:
                with ascent.level(), fork_rng([]):
                    found = _pass(network, loss, photos, shares)
                with ascent.uphill():
                    _pass(network, loss, photos, shares)
            else:
                found = _pass(network, loss, photos, shares)
            if settings.clip_norm:
                nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimiser.step()
            if average:
                average.update_parameters(network)
            total += found.item()
        seconds = time.monotonic() - started
        print(f"{given.name} epoch={epoch} size={size} loss={total / steps:.4f} seconds={seconds:.0f}", flush=True)
    last = {name: value.clone() for name, value in network.state_dict().items()}
    if average:
        network.load_state_dict(average.module.state_dict())
    return network, last


def _pass(network: PhotoNetwork, loss: CandidateLoss, photos: Tensor, shares: Tensor) -> Tensor:
    """Forward and backward; the loss, a scalar."""
    found = loss(network(photos), shares)
    found.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return found


def _size(settings: TrainingSettings, start: int | None, epoch: int) -> int:
    """Progressive resizing (Howard 2018): from `start` to the full size over the first 70% of the epochs, in 32s."""
    if start is None:
        return settings.image_size
    done = min(1.0, epoch / max(1.0, 0.7 * (settings.epochs - 1)))
    return round((start + (settings.image_size - start) * done) / 32) * 32


@torch.inference_mode()
def answers(network: PhotoNetwork, judged: Photos, settings: TrainingSettings) -> tuple[Floats, Floats]:
    """Logits `[n, 5]` of the photos as the endpoint sees them, and of their mirror images."""
    network.eval()
    found = []
    for first in range(0, len(judged), _JUDGED_AT_ONCE):
        some = range(first, min(first + _JUDGED_AT_ONCE, len(judged)))
        photos = judged.as_served(some, settings.image_size, settings.stretch)
        found.append([network(photos).double().numpy(), network(photos.flip(2)).double().numpy()])
    return np.concatenate([plain for plain, _ in found]), np.concatenate([mirrored for _, mirrored in found])


def keep_freed_memory() -> None:
    """Start this command again under glibc's settings for large tensors, which it reads once, when a process begins."""
    if not MALLOC.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | MALLOC)  # noqa: S606 - ourselves


if __name__ == "__main__":
    keep_freed_memory()
    main()
