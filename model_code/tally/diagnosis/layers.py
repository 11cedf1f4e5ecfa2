"""Rules on gradients, updates and activations of layers."""

from typing import Any

from tally.diagnosis.run import GOOD_UPDATE, TOO_LARGE, TOO_SMALL, CannotTell, Finding, Run, percent, round_figure

# SageMaker Debugger, ExplodingTensor: anything that is not finite. float16's scaler skips a few such steps by design.
_SKIPPED = 0.01
_GROWTH, _LARGE = 100.0, 100.0  # times the first epoch's median norm, and at least this large: two orders are no noise
# SageMaker Debugger, VanishingGradient: mean absolute gradient below 1e-7. Nothing vanishes in a network that has
# learnt its photos, and large layers have small means: a thousandth of the liveliest layer's is still healthy.
_VANISHED, _BEHIND, _LEARNT = 1e-7, 1e-3, 0.9
# SageMaker Debugger, DeadRelu and SaturatedActivation: threshold_layer 50%.
_IDLE = 0.5


def exploding_gradients(run: Run) -> Finding | None:
    """Gradients that are not finite, or that grew a hundredfold."""
    epochs = [epoch for epoch in run.watch["epochs"] if epoch["gradients"]["steps"]]
    if not epochs:
        raise CannotTell("no gradients were watched")
    steps = sum(epoch["gradients"]["steps"] for epoch in epochs)
    wrong = sum(epoch["gradients"]["not_finite"] for epoch in epochs)
    setting, (value, because) = "lr", run.other_rate()
    if not run.settings["clip_norm"]:
        setting, value, because = "clip_norm", "1", f"long gradients are cut; if that is not enough, lr {value}"
    if wrong > (_SKIPPED * steps if run.gpu and run.settings["amp"] else 0):
        evidence = f"gradients were not finite in {wrong} of {steps} steps"
        return Finding("exploding gradients", "problem", evidence, setting, value, because)
    medians = {epoch["epoch"]: epoch["gradients"]["median"] for epoch in epochs}
    medians = {at: median for at, median in medians.items() if median is not None}
    if not medians:
        raise CannotTell("no step's gradients were finite")
    at, highest = max(medians.items(), key=lambda found: found[1])
    first = next(iter(medians.values()))
    if highest > max(_GROWTH * first, _LARGE):
        evidence = f"the median gradient norm grew from {first:.3g} (first epoch) to {highest:.3g} (epoch {at})"
        return Finding("exploding gradients", "problem", evidence, setting, value, because)
    return None


def vanishing_gradients(run: Run) -> Finding | None:
    """Layers that hardly get a gradient although much is left to learn."""
    last, history = run.health()[-1], run.finished(1)
    names, means = run.watch["layers"], last["means"]
    if not means:
        raise CannotTell("no layer of the backbone learns")
    if None in means:
        raise CannotTell("a gradient of the last step was not finite")
    if history[-1]["train_accuracy"] > _LEARNT:
        return None
    small = [
        (mean, name)
        for mean, name in zip(means, names, strict=True)
        if mean < _VANISHED and mean < _BEHIND * max(means)
    ]
    if not small:
        return None
    mean, name = min(small)
    evidence = (
        f"the mean absolute gradient is below {_VANISHED:g} in {len(small)} of {len(names)} layers, {mean:.1g} in "
        f"{name}, with {percent(history[-1]['train_accuracy'])} of training photos right"
    )
    because = "residual connections and batch normalisation let gradients through to the first layers"
    other = "mobilenet_v2" if run.settings["backbone"].startswith("resnet") else "resnet18"
    return Finding("vanishing gradients", "problem", evidence, "backbone", other, because)


def dead_units(run: Run) -> Finding | None:
    """Activations that answer zero to every photo."""
    worst, name, layers = _idle(run, "dead")
    if worst < _IDLE:
        return None
    evidence = (
        f"{percent(worst)} of the units of {name} gave zero for every photo of a batch, and half or more did in "
        f"{layers} of the network's activations"
    )
    at_start = max(run.first_step().get("dead") or [0.0])
    if at_start >= _IDLE:
        because = f"they were dead before the first update ({percent(at_start)}): the weights are to blame"
        value = "pretrained" if run.settings["weights"] == "none" else "the file of this backbone"
        return Finding("dead units", "problem", evidence, "weights", value, because)
    value, _ = run.other_rate()
    because = "large steps push biases below zero, and a dead unit gets no gradient to come back"
    return Finding("dead units", "problem", evidence, "lr", value, because)


def saturated_units(run: Run) -> Finding | None:
    """Activations stuck on a plateau, where they pass no gradient."""
    worst, name, layers = _idle(run, "saturated")
    if worst < _IDLE:
        return None
    evidence = (
        f"{percent(worst)} of the units of {name} are stuck at a limit, and half or more are in {layers} of the "
        "network's activations"
    )
    decay = max(0.05, 5 * run.settings["weight_decay"])
    because = "large weights saturate activations; smaller ones keep them where they react. A lower lr helps too"
    return Finding("saturated units", "problem", evidence, "weight_decay", round_figure(decay), because)


def _idle(run: Run, kind: str) -> tuple[float, str, int]:
    """Largest share of idle units at the end of the last epoch, where, and how many layers are over the threshold."""
    last: dict[str, Any] = run.health()[-1]
    if not last[kind]:
        raise CannotTell("the network has no activations of that kind")
    worst = max(last[kind])
    name = run.watch["activations"][last[kind].index(worst)]
    return worst, name, sum(share >= _IDLE for share in last[kind])


def steps_too_small(run: Run) -> Finding | None:
    """Weights hardly move."""
    ratio = run.update_ratio()
    if ratio >= TOO_SMALL:
        return None
    return _rate(run, "steps too small", ratio, "the run would need a hundred times the epochs")


def steps_too_large(run: Run) -> Finding | None:
    """Weights are thrown about."""
    ratio = run.update_ratio()
    if ratio <= TOO_LARGE:
        return None
    return _rate(run, "steps too large", ratio, "what was learnt is overwritten by the next steps")


def _rate(run: Run, rule: str, ratio: float, because: str) -> Finding:
    evidence = (
        f"at the highest rate a step moves half of the layers by {'less' if ratio < GOOD_UPDATE else 'more'} than "
        f"{ratio:.1g} of their weights; about {GOOD_UPDATE:g} is usual"
    )
    value, _ = run.other_rate()
    return Finding(rule, "problem", evidence, "lr", value, because)
