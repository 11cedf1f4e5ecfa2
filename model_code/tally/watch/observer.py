"""The one who watches a run: clock, gradients, layers, operators and the machine, as plain data an epoch.

All ranks keep a clock and exchange how long they waited; the rest is seen by rank 0. What is seen travels in
checkpoints, so a resumed run tells of all its parts.
"""

import copy
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from tally.loader import loader_workers
from tally.network import PhotoNetwork
from tally.optimiser import learning_rate
from tally.ranks import Ranks
from tally.settings import TrainingSettings
from tally.watch.clock import Clock
from tally.watch.health import HealthProbe
from tally.watch.operators import OperatorProfile
from tally.watch.utilisation import Utilisation

_FORMAT = "tally-watch/1"
T = TypeVar("T")
_KEPT_NORMS = 100_000  # gradient norms an epoch: bounds memory in epochs of millions of steps


class Watch:
    """Watches one run of a trainer; used as a block around it."""

    def __init__(self, settings: TrainingSettings, ranks: Ranks, network: PhotoNetwork, batches: int) -> None:
        self.clock = Clock.on(ranks.device)
        self._settings, self._ranks, self._network, self._batches = settings, ranks, network, batches
        steps = settings.profile_steps if ranks.is_first else 0
        self._operators = OperatorProfile(steps, settings.epochs, batches, ranks.device)
        self._utilisation = Utilisation() if ranks.is_first else None
        self._probe: HealthProbe | None = None
        self._norms: list[Tensor] = []
        self._epochs: list[dict[str, Any]] = []
        self._first: dict[str, Any] | None = None
        self._at_start = False
        self._parts = 1

    def __enter__(self) -> "Watch":
        if self._utilisation:
            self._utilisation.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._operators.abandon()
        self._drop_probe()
        if self._utilisation:
            self._utilisation.__exit__(None, None, None)

    def attach(self, model: DistributedDataParallel) -> None:
        """Have the exchange of gradients timed: what is left of it when the last bucket is handed over.

        The rest of it overlaps with the backward pass and costs nothing. torch calls the hook once a bucket, the
        last one last; the hook does what DDP does without one. On CPUs the sums of batch normalisation are not in it.
        """

        def exchange(
            group: dist.ProcessGroup,
            bucket: dist.GradBucket,  # type: ignore[name-defined]  # torch checks this annotation and does not export it
        ) -> torch.futures.Future[Tensor]:
            if bucket.is_last():
                self.clock.turn_into("all_reduce")
            return allreduce_hook(group, bucket)

        model.register_comm_hook(dist.group.WORLD, exchange)

    def begin(self, epoch: int) -> None:
        """An epoch begins, or goes on after a resumption."""
        if self._epochs and self._epochs[-1]["epoch"] == epoch:
            return
        self._add_up()
        self._epochs.append({"epoch": epoch, "steps": 0, "seconds": {}, "waiting": [], "norms": []})

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """The batches of `loader`, with the time it takes to get them."""
        with self.clock.phase("data"):
            batches = iter(loader)
        while True:
            with self.clock.phase("data"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @contextmanager
    def step(self, epoch: int, step: int) -> Iterator[None]:
        """A training step; the first of the run and the last of every epoch are looked at closely."""
        with self.clock.phase("watching"):
            self._operators.before_step(epoch, step)
            self._at_start, last = epoch == 0 and step == 0, step == self._batches - 1
            if self._ranks.is_first and (self._at_start or last):
                self._probe = HealthProbe(self._network)
        try:
            yield
            with self.clock.phase("watching"):
                self._epochs[-1]["steps"] += 1
                if self._probe:
                    seen = self._probe.finish()
                    if self._at_start and self._first is not None:
                        self._first |= seen | {"lr": learning_rate(self._settings, 0.0)}
                    if last:
                        self._epochs[-1]["health"] = seen | {"step": step}
                self._operators.after_step()
        finally:
            self._drop_probe()

    def outputs(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """What a step came to: kept of the very first, before any update (losses a photo; this rank's share).

        Activations are seen until here: a sharpness-aware step goes forward once more with other weights.
        """
        if self._probe:
            self._probe.remove()
        if self._ranks.is_first and self._at_start:
            plain = functional.cross_entropy(logits.detach().float(), labels)
            self._first = {"objective": finite(loss.item()), "cross_entropy": finite(plain.item())}

    def gradients(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Note the gradients, unscaled and not yet clipped; return their total norm (2-norm, a scalar)."""
        if self._probe:
            self._probe.see_gradients()
        found = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(found)
        if self._ranks.is_first and len(self._norms) < _KEPT_NORMS:
            self._norms.append(norm.detach())
        return norm

    def end(self, confusion: Tensor) -> None:
        """An epoch has been trained and judged; `confusion` is validation's, int64 `[5, 5]`, rows true. All ranks."""
        entry = self._epochs[-1]
        self._gather()
        entry["gradients"] = summary_of_norms(entry.pop("norms"), self._settings.clip_norm)
        entry["validation_confusion"] = confusion.tolist()

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint. All ranks, since it holds what each waited."""
        self._gather()
        return {
            "format": _FORMAT,
            "epochs": copy.deepcopy(self._epochs),
            "first": self._first,
            "operators": self._operators.result,
            "utilisation": self._utilisation.state() if self._utilisation else None,
            "parts": self._parts,
            "ranks": self._ranks.world,
        }

    def go_on_from(self, state: dict[str, Any] | None) -> None:
        """Take over what an earlier part of the run saw; None where it was not watched."""
        self._parts += 1
        self.clock.take()  # the start of this process belongs to no epoch
        if not state or state["format"] != _FORMAT:
            return
        self._parts = state["parts"] + 1
        self._first, self._operators.result = state["first"], state["operators"]
        self._epochs = state["epochs"]
        if not self._ranks.is_first:  # what the ranks waited is in rank 0's copy
            for entry in self._epochs:
                entry["waiting"] = []
        elif self._epochs and state["ranks"] != self._ranks.world and "norms" in self._epochs[-1]:
            self._epochs[-1]["waiting"] = []  # other ranks now: the epoch's first part cannot be told by rank
        if self._utilisation and state["utilisation"]:
            self._utilisation.go_on_from(state["utilisation"])

    def record(self) -> dict[str, Any]:
        """Everything that was seen, as plain data for training.json; an epoch that broke off is the last one."""
        self._add_up()
        epochs, first = copy.deepcopy(self._epochs), copy.deepcopy(self._first)
        names: dict[str, list[str]] = {"layers": [], "activations": []}
        for seen in [first or {}, *(entry.get("health", {}) for entry in epochs)]:  # the same every time: told once
            names |= {kind: seen.pop(kind) for kind in names if kind in seen}
        for entry in epochs:
            entry.pop("waited", None)
            if "norms" in entry:
                entry["gradients"] = summary_of_norms(entry.pop("norms"), self._settings.clip_norm)
        device = self._ranks.device
        cuda = device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(device) if cuda else "cpu",
            "gpu_memory_peak": torch.cuda.max_memory_allocated(device) / 2**30 if cuda else None,
            "threads": torch.get_num_threads(),
            "parts": self._parts,
            "workers": loader_workers(self._settings),
            "ranks_here": int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            "batch_norms": self._learning_norms(),
            **names,
            "first_step": _plain(first),
            "epochs": [_plain(entry) for entry in epochs],
            "operators": self._operators.result,
            "utilisation": self._utilisation.state() if self._utilisation else None,
        }

    def _learning_norms(self) -> int:
        """Layers of batch normalisation whose statistics follow the photos."""
        still = {id(module) for part in self._network.still() for module in part.modules()}
        norms = (module for module in self._network.modules() if isinstance(module, _BatchNorm))
        return sum(id(norm) not in still for norm in norms)

    def _add_up(self) -> None:
        """Move what the clock and the list of norms hold into the running epoch."""
        seconds = self.clock.take()
        if not self._epochs:
            return
        entry = self._epochs[-1]
        for name, value in seconds.items():
            entry["seconds"][name] = entry["seconds"].get(name, 0.0) + value
        if "norms" in entry and self._norms:
            entry["norms"] += torch.stack(self._norms).cpu().tolist()
        self._norms.clear()
        entry["waited"] = entry.get("waited", 0.0) + seconds.get("data", 0.0)

    def _gather(self) -> None:
        """Tell every rank how long each has waited for data in the running epoch."""
        self._add_up()
        if not self._epochs:
            return
        entry, world = self._epochs[-1], self._ranks.world
        mine = torch.zeros(world, dtype=torch.float64, device=self._ranks.device)
        mine[self._ranks.rank] = entry.pop("waited")
        found = self._ranks.sum(mine).cpu().tolist()
        entry["waiting"] = [a + b for a, b in zip(entry["waiting"] or [0.0] * world, found, strict=True)]

    def _drop_probe(self) -> None:
        if self._probe:
            self._probe.remove()
            self._probe = None


def summary_of_norms(norms: list[float], limit: float) -> dict[str, Any]:
    """Total gradient norms of an epoch's steps before clipping, and the share of steps that clipping changed."""
    known = sorted(norm for norm in norms if math.isfinite(norm))
    return {
        "median": known[len(known) // 2] if known else None,
        "largest": known[-1] if known else None,
        "clipped": sum(norm > limit for norm in known) / len(known) if known and limit else 0.0,
        "not_finite": len(norms) - len(known),
        "steps": len(norms),
    }


def finite(value: float) -> float | None:
    """JSON knows no infinity: None instead."""
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Six digits are enough for reports, and what is not finite is None."""
    if isinstance(value, float):
        return finite(float(f"{value:.6g}"))
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
