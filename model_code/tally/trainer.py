"""The trainer: one class for one process and for DDP, for CPUs and GPUs.

    with join_ranks() as ranks:
        result = Trainer(settings, ranks, network, train_split, validation_split, checkpoints, stop).run(report)

Every rank runs it; only rank 0 writes. Randomness is a function of (seed, epoch, step, rank), so a run that was
stopped and resumed gives the losses of one that was not.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.parallel import DistributedDataParallel
from torch.random import fork_rng

from tally.averaging import averaged
from tally.batchnorm import synchronise
from tally.checkpoint import Checkpoints, Position
from tally.data.shards import Split
from tally.errors import TallyError
from tally.judge import Judge, confusion_of, no_confusion
from tally.labels import COUNTS
from tally.loader import training_loader
from tally.losses import OrdinalLoss
from tally.metrics import confusion_metrics
from tally.mixing import mixes, mixup
from tally.network import PhotoNetwork
from tally.optimiser import class_weights, learning_rate, make_optimiser
from tally.outcome import EpochResult, Outcome, as_good
from tally.precision import Precision
from tally.ranks import Ranks, seed_all
from tally.settings import TrainingSettings
from tally.sharpness import Ascent
from tally.softening import unsoftening
from tally.watch.observer import Watch

_PROGRESS_SECONDS = 10


class Trainer:
    """Trains `network` on one split and judges it on another after every epoch."""

    def __init__(
        self,
        settings: TrainingSettings,
        ranks: Ranks,
        network: PhotoNetwork,
        train: Split,
        validation: Split,
        checkpoints: Checkpoints,
        stop: Callable[[], bool],
    ) -> None:
        if settings.batch_size % ranks.world:
            raise TallyError(
                f"hyperparameter 'batch_size' is {settings.batch_size}; "
                f"it must be a multiple of the {ranks.world} ranks"
            )
        if len(train) < settings.batch_size:
            raise TallyError(
                f"the train split has {len(train)} photos, fewer than batch_size={settings.batch_size}; "
                "add photos or lower batch_size"
            )
        self._settings, self._ranks, self._stop, self._checkpoints = settings, ranks, stop, checkpoints
        self._network = network.to(ranks.device).to(memory_format=torch.channels_last)
        if ranks.world > 1 and settings.sync_batchnorm:
            synchronise(self._network, ranks.device)
        self._model: nn.Module = self._network
        if ranks.world > 1:
            ids = [ranks.device.index] if ranks.device.type == "cuda" else None
            self._model = DistributedDataParallel(
                self._network,
                device_ids=ids,
                gradient_as_bucket_view=True,
                broadcast_buffers=not settings.sync_batchnorm,  # statistics over all ranks are the same on each
            )
        self._optimiser = make_optimiser(self._network, settings)
        self._precision = Precision.on(ranks.device, amp=settings.amp)
        self._scaler = self._precision.scaler()
        self._loss = OrdinalLoss(settings, class_weights(train, settings.class_weighting)).to(ranks.device)
        self._ascent = Ascent(self._network, settings.sam, self._network.still()) if settings.sam else None
        self._unsoftening = unsoftening(settings).to(ranks.device)
        self._average = averaged(self._network, settings.ema) if settings.ema else None
        self._loader, self._batches = training_loader(train, settings, ranks)
        self._judge = Judge(settings, ranks, validation)
        self.watch = Watch(settings, ranks, self._network, len(self._batches))
        if isinstance(self._model, DistributedDataParallel):
            self.watch.attach(self._model)
        self._history: list[EpochResult] = []
        self._best_epoch = -1
        self._best_network: dict[str, Tensor] = {}

    def run(self, report: Callable[[EpochResult], None]) -> Outcome:
        """Train to the end, to an early stop, or until `stop()`; `report` is called on rank 0 after every epoch."""
        with self.watch:
            return self._run(report)

    def _run(self, report: Callable[[EpochResult], None]) -> Outcome:
        position = self._resume(report)
        stopped_early = self._patience_is_over()
        while position.epoch < self._settings.epochs and not stopped_early:
            if not self._train_epoch(position):
                self._save(position)
                return self.so_far()
            result = self._finish_epoch(position)
            if self._ranks.is_first:
                report(result)
            position = Position(epoch=position.epoch + 1)
            with self.watch.clock.phase("checkpoint"):
                self._save(position)
            # Computed from sums over all ranks, and voted on all the same: a rank that disagreed would hang the rest.
            stopped_early = self._ranks.any(self._patience_is_over())
        self._network.load_state_dict(self._best_network)
        early = stopped_early and position.epoch < self._settings.epochs
        return Outcome(True, tuple(self._history), self._best_epoch, stopped_early=early)

    def so_far(self) -> Outcome:
        """Where an unfinished run is, also one that raised; its best epoch is -1 before the first."""
        return Outcome(False, tuple(self._history), self._best_epoch, False)

    def _train_epoch(self, position: Position) -> bool:
        """Train from `position` to the end of its epoch; False when asked to stop on the way."""
        started = time.monotonic() - position.seconds
        loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=self._ranks.device)
        confusion = no_confusion(self._ranks) if position.confusion is None else position.confusion.to(loss_sum.device)
        # A step is left unfinished on no rank: all of them see the same vote.
        self._batches.start(position.epoch, position.step)
        self._model.train()
        self.watch.begin(position.epoch)
        said = time.monotonic()
        for photos, labels in self.watch.batches(self._loader):
            lr = learning_rate(self._settings, position.epoch + position.step / len(self._batches))
            seed_all(self._settings.seed, position.epoch, position.step, self._ranks.rank)
            mixed = mixes(position.step, self._settings.mixup)
            with self.watch.step(position.epoch, position.step):
                loss, logits, labels = self._step(photos, labels, lr, mixed)
            loss_sum += loss.detach().double() * len(labels)
            if not mixed:
                confusion += confusion_of(self._unsoftening(logits), labels)
            position.step += 1
            if self._ranks.is_first and time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                print(f"progress epoch={position.epoch} step={position.step}/{len(self._batches)}", flush=True)
            with self.watch.clock.phase("all_reduce"):
                stop = position.step < len(self._batches) and self._ranks.any(self._stop())
            if stop:
                break
        position.loss_sum, position.confusion = float(loss_sum), confusion.cpu()
        position.seconds = time.monotonic() - started
        return position.step == len(self._batches)

    def _step(self, photos: Tensor, labels: Tensor, lr: float, mixed: bool) -> tuple[Tensor, Tensor, Tensor]:
        phase = self.watch.clock.phase
        with phase("copy"):
            photos = photos.to(self._ranks.device, non_blocking=True)
            labels = labels.to(self._ranks.device, non_blocking=True)
            shares = one_hot(labels, len(COUNTS)).float()
            if mixed:
                photos, shares = mixup(photos, shares, self._settings.mixup)
        for group in self._optimiser.param_groups:
            group["lr"] = lr * group["scale"]
        self._optimiser.zero_grad(set_to_none=True)
        if self._ascent:
            devices = [self._ranks.device] if self._ranks.device.type == "cuda" else []
            with self._ascent.level(), fork_rng(devices):
                loss, logits = self._pass(photos, shares)
            self.watch.outputs(loss, logits, labels)
            with self._ascent.uphill():
                self._pass(photos, shares)  # as the fork left them, the generators drop out the same units
        else:
            loss, logits = self._pass(photos, shares)
            self.watch.outputs(loss, logits, labels)
        with phase("optimiser"):
            self._scaler.unscale_(self._optimiser)
            norm = self.watch.gradients(self._network.parameters())
            if self._settings.clip_norm:
                nn.utils.clip_grads_with_norm_(self._network.parameters(), self._settings.clip_norm, norm)
            self._scaler.step(self._optimiser)
            self._scaler.update()
            if self._average:
                self._average.update_parameters(self._network)
        return loss, logits, labels

    def _pass(self, photos: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Forward and backward: the loss and logits float32 `[n, 5]`; gradients are added to the parameters'."""
        with self.watch.clock.phase("forward"):
            with self._precision.autocast():
                logits = self._model(photos)
            logits = logits.float()
            loss = self._loss.of_shares(logits, shares)
        with self.watch.clock.phase("backward"):
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss, logits

    def _finish_epoch(self, position: Position) -> EpochResult:
        """Judge the network, keep it when it is the best so far, and add to the history."""
        assert position.confusion is not None  # noqa: S101 - set by the epoch that has just ended
        loss_sum = self._ranks.sum(torch.tensor([position.loss_sum], dtype=torch.float64, device=self._ranks.device))
        confusion = self._ranks.sum(position.confusion.to(self._ranks.device)).cpu()
        self._check_finite("training", loss_sum.item(), position.epoch)
        train, photos = confusion_metrics(confusion.numpy()), len(self._batches) * self._settings.batch_size
        with self.watch.clock.phase("validation"):
            validation_loss, validation_confusion = self._judge.loss_and_confusion(self._judged)
        self._check_finite("validation", validation_loss, position.epoch)
        self.watch.end(validation_confusion)
        validation = confusion_metrics(validation_confusion.numpy())
        most = max([validation.accuracy, *(result.validation_accuracy for result in self._history)])
        if as_good(validation.accuracy, most, int(validation_confusion.sum())):
            self._best_epoch, best_accuracy = position.epoch, validation.accuracy
            self._best_network = {name: value.cpu().clone() for name, value in self._judged.state_dict().items()}
        else:
            best_accuracy = self._history[self._best_epoch].validation_accuracy
        last = position.epoch + (len(self._batches) - 1) / len(self._batches)
        result = EpochResult(
            epoch=position.epoch,
            train_loss=loss_sum.item() / photos,
            train_accuracy=train.accuracy,
            train_macro_f1=train.macro_f1,
            train_rmse=train.rmse,
            validation_loss=validation_loss,
            validation_accuracy=validation.accuracy,
            validation_macro_f1=validation.macro_f1,
            validation_rmse=validation.rmse,
            photos_per_second=photos / max(position.seconds, 1e-9),
            lr=learning_rate(self._settings, last),
            seconds=position.seconds,
            best_validation_accuracy=best_accuracy,
        )
        self._history.append(result)
        return result

    def _check_finite(self, split: str, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise TallyError(
                f"the {split} loss is not finite in epoch {epoch}; lower 'lr' ({self._settings.lr:g}) "
                f"or set 'clip_norm' ({self._settings.clip_norm:g})"
            )

    @property
    def _judged(self) -> nn.Module:
        """What is validated and kept: the averaged weights where there are any."""
        return self._average.module if self._average else self._network

    def _patience_is_over(self) -> bool:
        if not (self._settings.patience and self._history):
            return False
        peak = max(self._history, key=lambda result: (result.validation_accuracy, -result.validation_loss))
        return len(self._history) - 1 - peak.epoch >= self._settings.patience

    def _save(self, position: Position) -> None:
        """Write a checkpoint on rank 0; sums are over all ranks, since any number of ranks may go on from it."""
        device = self._ranks.device
        loss_sum = self._ranks.sum(torch.tensor([position.loss_sum], dtype=torch.float64, device=device)).item()
        mine = no_confusion(self._ranks) if position.confusion is None else position.confusion.to(device)
        confusion = self._ranks.sum(mine).cpu()
        watched = self.watch.state()
        if self._ranks.is_first:
            self._checkpoints.save(
                {
                    "position": asdict(Position(position.epoch, position.step, loss_sum, confusion, position.seconds)),
                    "network": self._network.state_dict(),
                    "average": self._average.state_dict() if self._average else None,
                    "optimiser": self._optimiser.state_dict(),
                    "scaler": self._scaler.state_dict(),
                    "history": [asdict(result) for result in self._history],
                    "best": {"epoch": self._best_epoch, "network": self._best_network},
                    "watch": watched,
                }
            )
        self._ranks.wait()

    def _resume(self, report: Callable[[EpochResult], None]) -> Position:
        """Go on from the last checkpoint, or start; a finished epoch is reported again for the job's metrics."""
        state: dict[str, Any] | None = self._checkpoints.load()
        if state is None:
            return Position()
        self._network.load_state_dict(state["network"])
        if self._average:
            self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self._history = [EpochResult(**result) for result in state["history"]]
        self._best_epoch = state["best"]["epoch"]
        self._best_network = state["best"]["network"]
        self.watch.go_on_from(state.get("watch"))
        position = Position(**state["position"])
        if self._ranks.is_first:
            print(f"resumed epoch={position.epoch} step={position.step}", flush=True)
            for result in self._history:
                report(result)
        else:  # the sums in a checkpoint are everybody's: one rank carries them on
            position.loss_sum, position.confusion = 0.0, None
        return position
