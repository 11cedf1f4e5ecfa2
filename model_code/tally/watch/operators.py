"""The costliest operators of a few steps, by torch.profiler.

A few steps of the second epoch, since the first steps of a run are not like the rest: threads start, kernels are
chosen, buffers grow. A run of one epoch is looked at after its first steps.
"""

import os
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

SHOWN = 10
_SETTLE = 3  # steps that an epoch may need to find its pace


class OperatorProfile:
    """Profiles `steps` steps once a run; `result` is plain data, None until then."""

    def __init__(self, steps: int, epochs: int, batches: int, device: torch.device) -> None:
        self._steps = min(steps, max(1, batches - 1))  # the last step of an epoch is looked at by the health probe
        self._epoch = min(1, epochs - 1)
        self._first = max(0, min(_SETTLE, batches - 1 - self._steps))
        self._cuda = device.type == "cuda"
        self._profile: profile | None = None
        self._done = 0
        self.result: dict[str, Any] | None = None

    def before_step(self, epoch: int, step: int) -> None:
        """Start, if this is the step to start at."""
        if not self._steps or self.result or self._profile or (epoch, step) != (self._epoch, self._first):
            return
        os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # its library writes to stderr of every start and missing GPU
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._cuda else [])]
        self._profile, self._done = profile(activities=activities, acc_events=True), 0
        self._profile.start()

    def after_step(self) -> None:
        """End after the last step, and keep the table."""
        if not self._profile:
            return
        self._done += 1
        if self._done < self._steps:
            return
        if self._cuda:
            torch.cuda.synchronize()
        self._profile.stop()
        self.result = self._table(self._profile)
        self._profile = None

    def abandon(self) -> None:
        """End without a result: the run stops amid the steps."""
        if self._profile:
            self._profile.stop()
            self._profile = None

    def _table(self, finished: profile) -> dict[str, Any]:
        """Times are seconds a step, of the operator itself without those it calls."""
        rows = [
            {
                "name": event.key,
                "calls": event.count / self._done,
                "cpu": event.self_cpu_time_total / 1e6 / self._done,
                "device": event.self_device_time_total / 1e6 / self._done,
            }
            for event in finished.key_averages()
        ]
        key = "device" if self._cuda else "cpu"
        rows.sort(key=lambda row: row[key], reverse=True)
        totals = {name: sum(row[name] for row in rows) for name in ("cpu", "device")}
        return {
            "epoch": self._epoch,
            "steps": self._done,
            "sorted_by": key,
            "total": totals,
            "operators": [row | {"share": row[key] / (totals[key] or 1)} for row in rows[:SHOWN]],
        }
