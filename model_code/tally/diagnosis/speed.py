"""Rules on time and machines: who waits for whom, and what is left unused."""

import math

from tally.diagnosis.run import CannotTell, Finding, Run, Severity, percent

# SageMaker Debugger, IOBottleneck and CPUBottleneck: threshold 50%. A fifth is worth a word.
_STARVED, _HUNGRY = 0.5, 0.2
_CPUS_BUSY = 0.9  # SageMaker Debugger, CPUBottleneck: cpu_threshold 90%
# SageMaker Debugger, LoadBalancing: threshold 0.2.
_UNEVEN = 0.2
_EXCHANGE = 0.3  # with more than that, a rank does less than 70% of what it does alone
# SageMaker Debugger, BatchSize: the 95th percentiles of CPU, GPU and GPU memory are all below 70%.
_IDLE_GPU = 0.7
# Wu & He 2018, "Group Normalization", figure 1: the error of batch normalisation grows below 8 photos.
_FEWEST_NORMALISED = 8
_FULL = 0.9  # of memory: loaders' peaks and fragments need the rest


def starved_by_input(run: Run) -> Finding | None:
    """Training waits for photos."""
    seconds = run.steady_seconds()
    total, waiting = sum(seconds.values()), seconds["data"]
    share = waiting / total
    if share < _HUNGRY:
        return None
    who = "GPUs" if run.gpu else "CPUs"
    evidence = (
        f"the {who} that train waited for photos in {percent(share)} of the time ({waiting:.0f} of {total:.0f} s)"
    )
    severity: Severity = "problem" if share >= _STARVED else "hint"
    loaders = _loaders(run)
    # Loaders that deliver a batch in the time a step takes: each now works through data and training alike.
    wanted = max(1, math.ceil(max(loaders, 1) * (total if loaders else waiting) / max(total - waiting, 1e-9)))
    usage = run.watch["utilisation"]
    cpus = max(1, usage["cpus"] // run.watch.get("ranks_here", 1)) if usage else None  # a rank's share
    busy = _high(run, "cpus") / usage["cpus"] if usage and usage["samples"] else None
    if cpus and ((busy is not None and busy > _CPUS_BUSY) or loaders >= cpus):
        because = f"all {usage['cpus']} CPUs are busy, so an instance with more CPUs helps too"
        size = max(32, run.settings["image_size"] * 3 // 4 // 32 * 32)
        return Finding("starved by input", severity, evidence, "image_size", str(size), because)
    wanted = min(wanted, cpus or wanted)
    because = f"{loaders or 'no'} loader processes a rank prepare photos"
    return Finding("starved by input", severity, evidence, "workers", str(max(wanted, loaders + 1)), because)


def _loaders(run: Run) -> int:
    found: int = run.watch["workers"]
    return found


def ranks_wait_unevenly(run: Run) -> Finding | None:
    """Some rank gets its photos later than others, and all wait for it."""
    if run.ranks == 1:
        raise CannotTell("one rank")
    epochs = [epoch for epoch in run.watch["epochs"] if len(epoch["waiting"]) == run.ranks]
    if not epochs:
        raise CannotTell("no epoch tells what each rank waited")
    waits = [sum(epoch["waiting"][rank] for epoch in epochs[1:] or epochs) for rank in range(run.ranks)]
    total = sum(run.steady_seconds().values())
    spread = max(waits) - min(waits)
    if spread < _UNEVEN * total:
        return None
    slow = waits.index(max(waits))
    evidence = f"rank {slow} waited {max(waits):.0f} s for photos and another one {min(waits):.0f} s, of {total:.0f} s"
    because = "look at that rank's host and disk; more loaders hide short stalls"
    return Finding("ranks wait unevenly", "hint", evidence, "workers", str(_loaders(run) + 1), because)


def exchange_of_gradients(run: Run) -> Finding | None:
    """Much time goes into summing gradients over ranks."""
    if run.ranks == 1:
        raise CannotTell("one rank")
    seconds = run.steady_seconds()
    share = seconds["all_reduce"] / sum(seconds.values())
    if share < _EXCHANGE:
        return None
    evidence = f"{percent(share)} of the time went into the exchange of gradients after the backward pass"
    because = "larger steps exchange less often; or fewer hosts with more GPUs each"
    return Finding("slow exchange", "hint", evidence, "batch_size", str(2 * run.settings["batch_size"]), because)


def batch_too_small(run: Run) -> Finding | None:
    """Statistics of too few photos, or GPUs with room for more."""
    batch = run.settings["batch_size"]
    normalised = batch if run.settings["sync_batchnorm"] else batch // run.ranks
    if run.watch["batch_norms"] and normalised < _FEWEST_NORMALISED:
        evidence = (
            f"batch normalisation has statistics of {normalised} photos; below {_FEWEST_NORMALISED} they are noise"
        )
        wanted = batch * math.ceil(_FEWEST_NORMALISED / normalised) * 2
        because = "or freeze the backbone, whose statistics then stay as they are"
        return Finding("batch too small", "problem", evidence, "batch_size", str(wanted), because)
    usage = run.watch["utilisation"]
    if not run.gpu or not usage or not usage["gpu_busy_known"] or not usage["samples"]:
        return None
    highs = {name: _high(run, name) for name in ("gpu", "gpu_memory")} | {"cpus": _high(run, "cpus") / usage["cpus"]}
    if max(highs.values()) >= _IDLE_GPU:
        return None
    evidence = (
        f"95% of the time the GPUs were busy for at most {percent(highs['gpu'])}, their memory full to "
        f"{percent(highs['gpu_memory'])} and the CPUs busy for {percent(highs['cpus'])}"
    )
    because = "there is room for twice the photos a step; raise lr with it"
    return Finding("batch too small", "hint", evidence, "batch_size", str(2 * batch), because)


def memory_nearly_full(run: Run) -> Finding | None:
    """The next epoch may end with the job being killed."""
    usage = run.watch["utilisation"]
    if not usage or not usage["samples"]:
        raise CannotTell("the run was too short to be sampled")
    column = usage["columns"].index("memory")
    peak = max(row[column] for row in usage["samples"])
    if peak < _FULL * usage["memory"] or run.settings["batch_size"] == 1:
        return None
    evidence = f"processes used {peak:.1f} of {usage['memory']:.1f} GiB of memory"
    because = "or take fewer loader processes, or an instance with more memory"
    return Finding("memory nearly full", "hint", evidence, "batch_size", str(run.settings["batch_size"] // 2), because)


def _high(run: Run, name: str) -> float:
    """95th percentile of a column of the utilisation; 0 where nothing is known."""
    usage = run.watch["utilisation"]
    values = sorted(row[usage["columns"].index(name)] or 0.0 for row in usage["samples"])
    return float(values[min(len(values) - 1, int(0.95 * len(values)))]) if values else 0.0
